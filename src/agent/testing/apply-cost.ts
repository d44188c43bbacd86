import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Datapath } from "../../datapath/datapath.ts";
import { Panel } from "../../datapath/panel.ts";
import { functions } from "../../functions/index.ts";
import {
  addAddress,
  createNamespace,
  hasQdisc,
  inNamespace,
  mountBpffs,
  namespacePath,
  removeNamespace,
  unmountBpffs,
} from "../../kernel/index.ts";
import { type ClusterState, type Endpoint, emptyState } from "../../model/cluster.ts";
import type { DesiredState } from "../../model/desired.ts";
import type { ImpairRule } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import { plan } from "../plan.ts";

// usage: npm run apply-cost [PROFILE]     as root; prints the CPU that making one planned change real costs, ms, with a
// limit and a loss on each of 500 pods. PROFILE: a file for the CPU's profile.

const PODS = 500;
const WARM_UP = 20;
const CHANGES = 60;
const RUN = `weir-t${process.pid}-ac`;

const indices = Array.from({ length: PODS }, (_, index) => index);
const podNamespace = (index: number) => `${RUN}-${index}`;
const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");

const endpoint = (index: number): Endpoint => ({
  namespace: "default",
  name: `p${index}`,
  uid: `u${index}`,
  netns: namespacePath(podNamespace(index)),
  ifname: "eth0",
  device: `weir${hex(index, 11)}`,
  mac: `02:00:00:00:${hex(index >> 8, 2)}:${hex(index & 255, 2)}`,
  ips: [`10.244.${(index + 16) >> 8}.${(index + 16) & 255}`, `fd00:10:244::${hex(index + 16, 4)}`],
});
const limit = (rate: number): LimitRule => ({ direction: "egress", rate, source: "bandwidth", configured: "" });
const loss: ImpairRule = {
  id: "loss",
  direction: "egress",
  source: "loss",
  configured: "",
  effects: { loss: { model: "uniform", probability: 0.01 } },
  match: {},
  exempt: { probes: true, dns: true },
  lease: { seconds: 60 },
};

const endpoints = indices.map(endpoint);
const empty = emptyState({
  name: "node-1",
  overlay: "vxlan",
  addresses: ["192.0.2.1"],
  podCIDRs: ["10.244.0.0/16", "fd00:10:244::/64"],
  uplink: "lo",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
  fq: hasQdisc("fq"),
});
let limits = new Map<string, readonly LimitRule[]>(indices.map((index) => [`default/p${index}`, [limit(10e6)]]));
const impairments = new Map<string, readonly ImpairRule[]>(indices.map((index) => [`default/p${index}`, [loss]]));
const state = (): ClusterState => ({ ...empty, endpoints, limits, impairments });

function cpuOf(work: () => void): number {
  const begin = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begin);
  return (user + system) / 1000;
}

function apply(datapath: Datapath, desired: DesiredState): void {
  const [failure] = datapath.apply(desired).failures;
  if (failure) throw new Error(`apply: ${failure.object}: ${failure.message}`);
}

function change(datapath: Datapath, turn: number): number {
  limits = new Map(limits).set(`default/p${(turn * 37) % PODS}`, [limit(11e6 + turn * 1e5)]);
  const desired = plan(state());
  return cpuOf(() => apply(datapath, desired));
}

function say(what: string, costs: readonly number[]): void {
  const sorted = costs.toSorted((a, b) => a - b);
  const [median = 0, p90 = 0] = [sorted[CHANGES / 2], sorted[CHANGES * 0.9]];
  process.stdout.write(`${median.toFixed(1)} ms, 90 % under ${p90.toFixed(1)} ms: ${what}\n`);
}

async function profiled<T>(file: string | undefined, work: () => T): Promise<T> {
  if (file === undefined) return work();
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  const result = work();
  writeFileSync(file, JSON.stringify((await session.post("Profiler.stop")).profile));
  return result;
}

const directory = mkdtempSync(join(tmpdir(), "weir-apply-cost-"));
const bpffs = join(directory, "bpf");
mkdirSync(bpffs);
mountBpffs(bpffs);
const names = [RUN, ...indices.map(podNamespace)];
try {
  for (const name of names) createNamespace(name);
  addAddress("lo", "192.0.2.1/32", {}, namespacePath(RUN));
  const inNode = <T>(work: () => T): T => inNamespace(namespacePath(RUN), work);
  const panel = inNode(() =>
    Panel.open({ root: join(bpffs, "t"), objects: "dist/bpf", functions: functions.map(({ name }) => name) }),
  );
  const tables = functions.flatMap((one) => one.tables);
  const datapath = inNode(() => new Datapath({ panel, tables, state: functions.flatMap((one) => one.state ?? []) }));
  inNode(() => apply(datapath, plan(state())));
  const turns = Array.from({ length: WARM_UP + CHANGES }, (_, turn) => turn);
  inNode(() => turns.slice(0, WARM_UP).map((turn) => change(datapath, turn)));
  const [, , file] = process.argv;
  const costs = await profiled(file, () => inNode(() => turns.slice(WARM_UP).map((turn) => change(datapath, turn))));
  say("a pod's rate", costs);
  const same = plan(state());
  say(
    "nothing",
    inNode(() => turns.slice(WARM_UP).map(() => cpuOf(() => apply(datapath, same)))),
  );
  panel.close();
} finally {
  for (const name of names) removeNamespace(name);
  unmountBpffs(bpffs);
  rmSync(directory, { recursive: true, force: true });
}
