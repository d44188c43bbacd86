import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type NetworkNews, WEIR_ROUTE_PROTOCOL } from "../kernel/index.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { TapFinder } from "./taps.ts";
import { memoryKernel, agentOn as newAgent } from "./testing/agent.ts";

const NODE: NodeContext = {
  name: "n1",
  overlay: "vxlan",
  addresses: ["192.0.2.1"],
  podCIDRs: ["10.244.1.0/24"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
const address: NetworkNews = { kind: "address", ifindex: 1 };

let folder: string;
let stop: AbortController;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-news-"));
  stop = new AbortController();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const LIMITED = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "a", namespace: "ns", uid: "u1", annotations: { bandwidth: "1 mbps egress" } },
  spec: { nodeName: "n1", containers: [{ name: "c", image: "x" }] },
};

/**
 * An agent after its first pass, on an in-memory kernel, with one pod that has a limit; and the passes that
 * notifications caused.
 */
async function agentOn(follow = (before: NodeContext) => before, taps?: TapFinder) {
  const kernel = memoryKernel();
  const agent = newAgent({
    ...{ node: NODE, folder, kernel, signal: stop.signal, taps },
    follow: (_object, before) => follow(before),
  });
  agent.parts.endpoints.put("ns", "a", { uid: "u1", netns: "/run/netns/a", ifname: "eth0" });
  agent.parts.applied.put([LIMITED]);
  agent.start();
  await agent.runner.settled(false);
  expect(agent.standing.failures()).toEqual([]);
  const marks = vi.spyOn(agent.runner, "mark");
  const looks = vi.spyOn(agent.parts.datapath, "pending", "get");
  const route = kernel.network.byCidr.get("10.244.1.0/24") ?? expect.fail();
  const own = (gone: boolean): NetworkNews => ({ kind: "route", gone, route });
  return { agent, kernel, marks, looks, own };
}
/** Less than the interval of any periodic work. */
const wait = () => vi.advanceTimersByTime(900);

test("many notifications about Weir's devices cause one check, and a pass if something changed", async () => {
  const { agent, kernel, marks, looks, own } = await agentOn();
  kernel.network.byCidr.clear();
  for (let i = 0; i < 1000; i++) agent.noticed(own(true));
  expect([looks.mock.calls.length, marks.mock.calls.length]).toEqual([0, 0]);
  wait();
  expect([looks.mock.calls.length, marks.mock.calls.length]).toEqual([1, 1]);
  await agent.runner.settled(false);
  expect([...kernel.network.byCidr.keys()]).toEqual(["10.244.1.0/24"]);
  marks.mockClear();
  agent.noticed(own(true));
  wait();
  expect(marks).toHaveBeenCalledTimes(1);
});

test("no pass follows if nothing changed, and foreign devices are not checked", async () => {
  const { agent, marks, looks, own } = await agentOn();
  agent.noticed(own(false));
  const others = { cidr: "10.9.0.0/16", ifindex: 1, via: undefined, source: undefined, metric: 0, table: 254 };
  expect(WEIR_ROUTE_PROTOCOL).not.toBe(2);
  for (const gone of [true, false]) agent.noticed({ kind: "route", gone, route: { ...others, protocol: 2 } });
  wait();
  expect(marks).not.toHaveBeenCalled();
  expect(looks).not.toHaveBeenCalled();
});

test("dropped notifications have everything compared at once, and again once every two seconds", async () => {
  const { agent, kernel } = await agentOn();
  const looks = vi.spyOn(kernel.network, "isBare");
  const lose = async (times: number): Promise<number> => {
    looks.mockClear();
    for (let i = 0; i < times; i++) {
      agent.noticed({ kind: "lost" });
      await vi.advanceTimersByTimeAsync(100);
    }
    return looks.mock.calls.length;
  };
  expect(await lose(10)).toBe(1);
  expect(await lose(100)).toBe(5);
  looks.mockClear();
  await vi.advanceTimersByTimeAsync(5000);
  expect(looks).toHaveBeenCalledTimes(1);
});

test("the removal of a root qdisc has all classes below it read again", async () => {
  const { agent, kernel, marks } = await agentOn();
  const qdiscs = vi.spyOn(kernel.network, "qdiscs");
  agent.noticed({ kind: "qdisc", ifindex: kernel.network.device("weir_shape0")?.ifindex ?? 0 });
  wait();
  expect(marks).toHaveBeenCalledOnce();
  await agent.runner.settled(false);
  expect(qdiscs).toHaveBeenCalledOnce();
});

test("a new address of the node is planned for", async () => {
  let addresses = NODE.addresses;
  const now = (before: NodeContext) => (before.addresses === addresses ? before : { ...before, addresses });
  const { agent, marks } = await agentOn(now);
  addresses = ["192.0.2.11"];
  agent.noticed(address);
  wait();
  expect(marks).toHaveBeenCalledOnce();
  await agent.runner.settled(false);
  expect(agent.planner.node.addresses).toEqual(["192.0.2.11"]);
});

test("if the node's state cannot be read, the last one is used and the status has the reason", async () => {
  let fault: string | undefined;
  const { agent } = await agentOn((before) => {
    if (fault) throw new Error(fault);
    return before;
  });
  fault = "configure node n1: no device eth0";
  agent.noticed(address);
  wait();
  await agent.runner.settled(false);
  expect(agent.standing.failures()).toEqual([{ object: "Node/n1", message: fault }]);
  expect(agent.planner.node).toBe(NODE);
});

test("a rule that appears beside another network has the node read first: its gateway may have come with the device", async () => {
  let addresses = NODE.addresses;
  const now = (before: NodeContext) => (before.addresses === addresses ? before : { ...before, addresses });
  const found: (readonly string[])[] = [];
  const taps = {
    find: () => {
      found.push(addresses);
      return { taps: [], problems: [] };
    },
  } as unknown as TapFinder;
  const { agent } = await agentOn(now, taps);
  addresses = ["192.0.2.1", "192.0.2.11"];
  agent.parts.applied.put([{ ...LIMITED, metadata: { ...LIMITED.metadata, name: "b", uid: "u2" } }]);
  agent.changed(["Pod/ns/b"]);
  agent.runner.mark();
  await agent.runner.settled(false);
  expect(found).toEqual([NODE.addresses, addresses]);
  expect(agent.planner.node.addresses).toEqual(addresses);
});
