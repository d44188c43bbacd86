import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControlPlane } from "../control-plane/control-plane.ts";

/** `weir apply|diff|delete --kubeconfig`, as a separate process. */

const WEIR = new URL("../../bin/weir", import.meta.url).pathname;
let plane: ControlPlane;
beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.installDefinitions();
});
afterAll(() => plane?.close());

function weir(argv: readonly string[], objects?: readonly object[]) {
  const input = objects?.map((one) => JSON.stringify(one)).join("\n---\n") ?? "";
  const files = objects ? ["-f", "-"] : [];
  const args = [...argv, "--kubeconfig", plane.kubeconfig, ...files];
  const { status, stdout, stderr } = spawnSync(WEIR, args, { input, encoding: "utf8", timeout: 120_000 });
  return { code: status, out: stdout, err: stderr };
}
const space = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
const limit = (egress: string, namespace = "shop") => ({
  ...{ apiVersion: "weir.dev/v1alpha1", kind: "Limit", metadata: { name: "slow", namespace } },
  spec: { pod: "a", egress },
});
const egress = () => plane.kubectl(["get", "limit", "slow", "-n", "shop", "-o", "jsonpath={.spec.egress}"]);

test("creates, compares, changes and deletes; a dry run does nothing", async () => {
  expect(weir(["apply"], [limit("10M"), space])).toEqual({
    code: 0,
    out: "created Namespace/shop\ncreated Limit/shop/slow\n",
    err: "",
  });
  expect(weir(["diff"], [limit("10M"), space])).toEqual({ code: 0, out: "", err: "" });
  expect(weir(["diff"], [limit("20M")])).toEqual({
    code: 1,
    out: 'changed Limit/shop/slow\n  ~ spec.egress: "10M" → "20M"\n',
    err: "",
  });
  expect(weir(["apply", "--dry-run"], [limit("20M")])).toEqual({
    code: 0,
    out: "would be changed: Limit/shop/slow\n",
    err: "",
  });
  expect((await egress()).out).toBe("10M");
  expect(weir(["apply"], [limit("20M")])).toMatchObject({ code: 0, out: "changed Limit/shop/slow\n" });
  expect(weir(["apply"], [limit("20M")])).toMatchObject({ code: 0, out: "unchanged Limit/shop/slow\n" });
  expect((await egress()).out).toBe("20M");
  expect(weir(["delete", "--dry-run", "Limit/shop/slow"])).toMatchObject({
    code: 0,
    out: "would delete Limit/shop/slow\n",
  });
  expect((await egress()).code).toBe(0);
  expect(weir(["delete"], [limit("20M")])).toMatchObject({ code: 0, out: "deleted Limit/shop/slow\n" });
  expect((await egress()).code).toBe(1);
  expect(weir(["delete", "Limit/shop/slow"])).toEqual({ code: 0, out: "", err: "! Limit/shop/slow: does not exist\n" });
});

test("another manager's fields are not taken over, and the server's refusals are reported for their object", async () => {
  await plane.must(["create", "namespace", "other"]);
  await plane.must(["apply", "--server-side", "--field-manager=someone", "-f", "-"], {
    input: JSON.stringify(limit("5M", "other")),
  });
  const conflict = weir(["apply"], [limit("6M", "other")]);
  expect(conflict).toMatchObject({ code: 1, out: "" });
  expect(conflict.err).toMatch(/^✖ Limit\/other\/slow: .*conflict.*someone/s);
  const nowhere = weir(["apply"], [limit("6M", "none"), limit("5M", "other")]);
  expect(nowhere).toMatchObject({ code: 1, out: "unchanged Limit/other/slow\n" });
  expect(nowhere.err).toContain('namespaces "none" not found');
  expect(weir(["diff"], [limit("6M", "none")]).code).toBe(2);
});

test("no API, or two targets", () => {
  const { status, stderr } = spawnSync(WEIR, ["diff", "-f", "-", "--kubeconfig", "/none"], {
    input: JSON.stringify(space),
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([2, expect.stringContaining("ENOENT")]);
  expect(weir(["apply", "--lab", "x"], [space])).toMatchObject({ code: 2, err: expect.stringContaining("exclude") });
});
