import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControlPlane } from "./control-plane.ts";

let plane: ControlPlane;
beforeAll(async () => {
  plane = await ControlPlane.start();
});
afterAll(() => plane.close());

const marker = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kept", namespace: "default" } };

test("answers kubectl, refuses unknown tokens, and stores objects", async () => {
  expect(JSON.parse(await plane.must(["version", "-o", "json"])).serverVersion.gitVersion).toBe("v1.34.4");
  await plane.apply(marker);
  expect(await plane.must(["get", "configmap", "kept", "-o", "name"])).toBe("configmap/kept\n");
  const missing = await plane.kubectl(["get", "configmap", "none"]);
  expect(missing).toMatchObject({ code: 1, err: expect.stringContaining("NotFound") });
});

test("keeps its objects when killed, and compacts its history on request", async () => {
  const before = JSON.parse(await plane.must(["get", "--raw=/api/v1/configmaps"]));
  const old = before.metadata.resourceVersion as string;
  for (const value of ["1", "2"]) await plane.apply({ ...marker, data: { value } });
  await plane.stopApi();
  expect((await plane.kubectl(["get", "--raw=/readyz"])).code).not.toBe(0);
  await plane.startApi();
  await plane.compact();
  expect(await plane.must(["get", "configmap", "kept", "-o", "jsonpath={.data.value}"])).toBe("2");
  const watch = `--raw=/api/v1/configmaps?watch=true&timeoutSeconds=1&resourceVersion=${old}`;
  const { out, err } = await plane.kubectl(["get", watch]);
  expect(out + err).toMatch(/too old resource version|Expired|410/);
});

test("close() leaves no processes and no files", async () => {
  const other = await ControlPlane.start();
  const { server, folder } = other;
  await other.close();
  expect(existsSync(folder)).toBe(false);
  await expect(fetch(`${server}/readyz`)).rejects.toThrow();
});
