import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Datapath } from "../datapath/datapath.ts";
import type { Builder } from "../datapath/programs/builder.ts";
import type { NetworkNews } from "../kernel/index.ts";
import type { NodeContext } from "../model/cluster.ts";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { AppliedStore } from "../sources/applied.ts";
import { openEndpoints } from "../sources/endpoints.ts";
import { LastGoodFile } from "../sources/last-good.ts";
import { Agent } from "./agent.ts";
import { createLogger } from "./log.ts";
import { Programs } from "./programs.ts";

const NODE: NodeContext = {
  name: "n1",
  overlay: "vxlan",
  addresses: ["192.0.2.1"],
  podCIDRs: ["10.244.1.0/24"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
const route: NetworkNews = {
  kind: "route",
  route: { cidr: "10.9.0.0/16", ifindex: 1, via: undefined, source: undefined, metric: 0, table: 254, protocol: 2 },
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

/** An agent after its first pass, what it looked at, and the nodes that it planned for. */
async function agentOn(devices: { concerns: boolean; isStale: boolean }, follow = (before: NodeContext) => before) {
  const looks = vi.fn(() => devices.isStale);
  const forgets = vi.fn();
  const datapath = {
    apply: () => ({ failures: [], writes: 0 }),
    warnings: [],
    forget: forgets,
    devices: { concerns: () => devices.concerns, isStale: looks },
    leases: { interval: undefined },
  };
  const agent = new Agent({
    node: NODE,
    follow: (_object, before) => follow(before),
    settings: DEFAULT_RULE_SETTINGS,
    manifests: undefined,
    endpoints: openEndpoints({ folder, podCIDRs: NODE.podCIDRs }),
    lastGood: new LastGoodFile(folder),
    applied: new AppliedStore(folder),
    datapath: datapath as unknown as Datapath,
    programs: new Programs({ folder: undefined, builder: {} as Builder, held: [], onChange: () => {} }),
    log: createLogger("silent", "n1"),
    signal: stop.signal,
  });
  agent.synced = true;
  await agent.runner.settled(false);
  const marks = vi.spyOn(agent.runner, "mark");
  forgets.mockClear();
  return { agent, looks, marks, forgets };
}

test("news of what is Weir's is looked at once, however much comes, and a pass follows if it is not as it was left", async () => {
  const { agent, looks, marks } = await agentOn({ concerns: true, isStale: true });
  for (let i = 0; i < 1000; i++) agent.noticed(route);
  expect(looks).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  expect([looks.mock.calls.length, marks.mock.calls.length]).toEqual([1, 1]);
  agent.noticed(route);
  vi.advanceTimersByTime(1000);
  expect(marks).toHaveBeenCalledTimes(2);
});

test("what is as it was left causes no pass, and what is others' is not looked at", async () => {
  const asLeft = await agentOn({ concerns: true, isStale: false });
  asLeft.agent.noticed(route);
  const others = await agentOn({ concerns: false, isStale: true });
  others.agent.noticed(route);
  vi.advanceTimersByTime(1000);
  expect(asLeft.marks).not.toHaveBeenCalled();
  expect(others.looks).not.toHaveBeenCalled();
});

test("a root qdisc that goes takes all below it along: the kernel is read again", async () => {
  const { agent, marks, forgets } = await agentOn({ concerns: true, isStale: false });
  agent.noticed({ kind: "qdisc", ifindex: 1 });
  vi.advanceTimersByTime(1000);
  expect(marks).toHaveBeenCalledOnce();
  await agent.runner.settled(false);
  expect(forgets).toHaveBeenCalledOnce();
});

test("an address that the node got is planned for", async () => {
  let addresses = NODE.addresses;
  const now = (before: NodeContext) => (before.addresses === addresses ? before : { ...before, addresses });
  const { agent, marks } = await agentOn({ concerns: false, isStale: false }, now);
  addresses = ["192.0.2.11"];
  agent.noticed(address);
  vi.advanceTimersByTime(1000);
  expect(marks).toHaveBeenCalledOnce();
  await agent.runner.settled(false);
  expect(agent.view.state.node.addresses).toEqual(["192.0.2.11"]);
});

test("a node that cannot be made out counts as it was, and the status says why", async () => {
  let fault: string | undefined;
  const { agent } = await agentOn({ concerns: false, isStale: false }, (before) => {
    if (fault) throw new Error(fault);
    return before;
  });
  fault = "configure node n1: no device eth0";
  await agent.runner.settled(false);
  expect(agent.view.failures).toEqual([{ object: "Node/n1", message: fault }]);
  expect(agent.view.state.node).toBe(NODE);
});
