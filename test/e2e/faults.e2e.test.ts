import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClientError } from "../../src/api/client.ts";
import { BpfMap, namespacePath, removeNamespace } from "../../src/kernel/index.ts";
import { LoneNode } from "./lone.ts";

/** The smallest panel of a node: ids of 61 pods, rows of 256 limits. */
const PORTS = 64;
const OTHERS = ["b", "c", "d", "e"];
const world = new LoneNode("faults", ["192.0.2.1/24", "fd00:192::1/64"]);

const uidOf = (name: string): string => `u-${name.slice(0, 20)}`;
const podOf = (name: string, annotations: Record<string, string>) => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", uid: uidOf(name), annotations } },
  spec: { nodeName: "n1", containers: [{ name: "c", image: "example.test/c:1" }] },
});
const limited = (name: string, mbps: number) => podOf(name, { bandwidth: `${mbps} mbps egress` });
const reaches = (from: string, to: string | undefined): boolean =>
  world.run(from, "sh", "-c", `ping -n -q -c 1 -W 1 ${to} || :`).includes(" 1 received");
const problems = async () =>
  (await world.client.list("problems")).map(({ object, message }) => `${object}: ${message}`);
const stateOf = async () => (await world.client.status()).state;
const effective = async () => {
  const limits = await world.client.list("limits");
  return Object.fromEntries(limits.map(({ pod, effective: rate, reason }) => [pod, rate ?? reason]));
};

/** Fills a panel's map like another process with access to the bpffs. Returns a function that makes room again. */
function fill(name: string): () => void {
  const root = join(world.folder, "bpf/weir/n1");
  const panel = readdirSync(root).find((one) => one.startsWith("abi-")) ?? "";
  const map = BpfMap.open(join(root, panel, "maps", name));
  const keys: Buffer[] = [];
  for (let id = 1_000_000; ; id++) {
    const key = Buffer.alloc(map.keySize);
    key.writeUInt32LE(id);
    try {
      map.update(key, Buffer.alloc(map.valueSize));
    } catch {
      break;
    }
    keys.push(key);
  }
  expect(keys.length).toBeGreaterThan(100);
  return () => {
    for (const key of keys) map.delete(key);
    map.close();
  };
}

/** Changes limits of the other pods `count` times. Returns their expected values. */
async function changes(count: number): Promise<Record<string, number>> {
  let rate = 10;
  for (let done = 0; done < count; done += OTHERS.length) {
    rate++;
    await world.client.putObjects(OTHERS.map((name) => limited(name, rate)));
  }
  return Object.fromEntries(OTHERS.map((name) => [name, rate * 1e6]));
}

let b: readonly string[];
beforeAll(async () => {
  for (const pod of ["a", "gone", "long", ...OTHERS]) world.add(pod);
  await world.start({ podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"], panelPorts: PORTS });
  for (const pod of ["a", "gone", ...OTHERS.slice(1)]) await world.pod(pod);
  b = await world.pod("b");
  await world.client.putObjects(OTHERS.map((name) => limited(name, 10)));
});
afterAll(() => world.close());

test("only objects with a name that is too long or invalid are refused", async () => {
  const spec = { uid: uidOf("xxxxxxxxxxxxxxxxxxxxx"), netns: namespacePath(world.namespace("long")), ifname: "eth0" };
  await expect(world.client.putEndpoint("default", "x".repeat(254), spec)).rejects.toMatchObject({ code: "invalid" });
  await expect(world.client.putObjects([limited("x".repeat(254), 1)])).rejects.toMatchObject({ code: "invalid" });
  const longest = "x".repeat(253);
  expect(await world.client.putObjects([limited(longest, 1)])).toMatchObject([{ problems: [] }]);
  expect((await world.client.putEndpoint("default", longest, spec)).ips).toHaveLength(2);
  expect(await effective()).toMatchObject({ [longest]: 1e6 });
  await world.client.deleteEndpoint("default", longest);
  await world.client.deleteObject({ kind: "Pod", namespace: "default", name: longest });
  expect([await problems(), await stateOf()]).toEqual([[], "ready"]);
});

test("more pods than the panel has ids for: only the last is refused, and a removed pod makes room", async () => {
  const put = (index: number) => {
    const name = `m${index}`;
    const spec = { uid: name, netns: namespacePath(world.namespace(name)), ifname: "eth0" };
    return world.client.putEndpoint("more", name, spec).then(
      () => undefined,
      (error: unknown) => error as ClientError,
    );
  };
  let last = 0;
  let refusal: ClientError | undefined;
  while (refusal === undefined && last < 2 * PORTS) {
    world.add(`m${++last}`);
    refusal = await put(last);
  }
  expect(refusal).toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/more\/m\d+ .*allocate port id/),
  });
  expect(last).toBeGreaterThan(PORTS - 12);
  expect([await problems(), await stateOf(), reaches("a", b[0])]).toEqual([[], "ready", true]);
  await world.client.deleteEndpoint("more", "m1");
  expect(await put(last)).toBeUndefined();
  for (let index = 2; index <= last; index++) await world.client.deleteEndpoint("more", `m${index}`);
  expect((await world.client.status()).pods).toBe(2 + OTHERS.length);
});

describe("with a full map and a pod without a device", () => {
  let makeRoom: () => void;
  const FULL = /^Pod\/default\/a: write row of weir_limits .*the map is full/;
  const GONE = /^Pod\/default\/gone: /;
  const ofWhom = async () => (await problems()).map((one) => [FULL, GONE].find((pattern) => pattern.test(one)) ?? one);

  test("only their owners are affected, and 1,000 changes of others are in force", async () => {
    makeRoom = fill("weir_limits");
    removeNamespace(world.namespace("gone"));
    await world.client.putObjects([limited("a", 5)]);
    await expect.poll(async () => new Set(await ofWhom())).toEqual(new Set([FULL, GONE]));
    expect(await world.client.status()).toMatchObject({
      state: "degraded",
      reason: expect.stringMatching(/^Pod\/default\//),
    });
    const rates = await changes(1000);
    const { a, ...others } = await effective();
    expect(others).toEqual(rates);
    expect(a).toMatch(/the map is full/);
    expect(new Set(await ofWhom())).toEqual(new Set([FULL, GONE]));
    expect((await world.client.list("pods")).find(({ name }) => name === "gone")).toMatchObject({ device: null });
    expect([reaches("a", b[0]), reaches("b", b[1])]).toEqual([true, true]);
  });

  test("waiting items are in force when room becomes available, without another change", async () => {
    makeRoom();
    await expect.poll(async () => (await effective())["a"]).toBe(5e6);
    expect(new Set(await ofWhom())).toEqual(new Set([GONE]));
    await world.client.deleteEndpoint("default", "gone");
    await expect.poll(stateOf).toBe("ready");
    expect(await problems()).toEqual([]);
  });
});
