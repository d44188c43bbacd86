import { expect, test } from "vitest";
import { CASES } from "./cases.ts";
import { nodeNetworks, podObject } from "./objects.ts";
import { othersRoutes, PEERS, remotePod, SIZES, seedOf, TEAM } from "./world.ts";

test("a large cluster has the stated number of objects, with unique names, addresses and networks", () => {
  const size = SIZES.cluster.full;
  const { pods = [], nodes = [] } = seedOf(size);
  expect([pods.length, nodes.length]).toEqual([10_000, 1000]);
  const addresses = pods.flatMap(({ status }) =>
    ((status as { podIPs?: { ip: string }[] }).podIPs ?? []).map(({ ip }) => ip),
  );
  expect(new Set(addresses).size).toBe(2 * (size.pods - size.local));
  expect(new Set(pods.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).size).toBe(size.pods);
  const networks = nodes.flatMap((_, index) => nodeNetworks(index));
  expect(new Set(networks).size).toBe(2 * size.nodes);
  expect(othersRoutes(size) + 2 * (size.nodes - 1)).toBe(size.routes);
});

test("pods of another node have their addresses in its networks", () => {
  const { node, ips } = remotePod(999 * 3 + 300, 999);
  expect([node, ips]).toEqual(["node-302", ["10.1.45.5", "fd00:10:0:112d::5"]]);
  expect(nodeNetworks(301)).toEqual(["10.1.45.0/24", "fd00:10:0:112d::/64"]);
});

test("the pods that the Impairment names exist, in its namespace", () => {
  const { pods = [] } = seedOf(SIZES.cluster.full);
  const labels = ({ metadata }: (typeof pods)[number]) => metadata["labels"] as Record<string, string>;
  const peers = pods.filter((pod) => pod.metadata.namespace === TEAM && labels(pod)["app"] === PEERS);
  expect(peers).toHaveLength(100);
});

test("a pod's object has the size of an API server's", () => {
  const { length } = JSON.stringify(podObject(remotePod(0, 9)));
  expect(length).toBeGreaterThan(4000);
  expect(length).toBeLessThan(8000);
});

test("cases have unique names, by which a run is resumed", () => {
  expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
  for (const { name, scene } of CASES) expect(name.split(" ")[0]).toBe(scene);
});
