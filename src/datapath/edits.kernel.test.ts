import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { namespacePath } from "../kernel/index.ts";
import type { Port } from "../model/document.ts";
import type { PanelConfig } from "./generations.ts";
import { World } from "./testing/acting.ts";
import { devicePort, document } from "./testing/bench.ts";
import { compileAll, type Ids } from "./testing/compile.ts";
import { Gate } from "./testing/gate.ts";

const CHANGES = 1000;
const PORT_DOWN = 1;
const PORTS = ["left:a", "right:b", "third:c"];
/**
 * Functions in the chains of pod a, of pod b, and of a port that is added and removed. Packets wait at `x` and `h`
 * behind a full queue. Pod c's port never changes.
 */
const OF_A = ["p", "q", "r", "s", "x"];
const OF_B = ["t", "u", "v", "h", "z"];
const OF_D = ["k", "l"];

let world: World;
let gate: Gate;
const senders: ChildProcess[] = [];
beforeAll(() => {
  world = new World();
  for (const name of [...OF_A, ...OF_B, ...OF_D, "fixed", "steady"]) world.act(name, { verdict: "next", note: true });
  world.act("x", { verdict: "shape", device: "weir_shape0", note: true });
  world.act("h", { verdict: "hold", device: "weir_shape0", note: true });
  world.act("z", { verdict: "split", note: true });
  world.apply(document(ports({ a: [], b: [], d: undefined })));
  gate = new Gate(world.bench, "weir_shape0");
  // one packet in two milliseconds: never empty during the changes, and empty soon after
  execFileSync("tc", ["-n", world.bench.node, ...shape("250kbit", "1600")]);
});
afterAll(() => {
  for (const sender of senders) sender.kill();
  gate?.close();
  world?.close();
});

const shape = (rate: string, burst: string): string[] =>
  ["qdisc", "change", "dev", "weir_shape0", "root", "handle", "1:"].concat(
    "tbf",
    "rate",
    rate,
    "burst",
    burst,
    "limit",
    "50mb",
  );

/** The generation in force, as the kernel has it. */
const generation = (): number => {
  const table = world.panel.table("weir_config");
  return Number(table.value.decode(table.lookup(Buffer.alloc(4)) as Buffer)["gen"]) & 1;
};

interface Chains {
  a: string[];
  b: string[];
  /** Undefined: the port does not exist. */
  d: string[] | undefined;
}

function ports({ a, b, d }: Chains): Port[] {
  const state = world.pair({ in: a, out: b }).ports.map((port) =>
    // packets from pod b pass a chain that never changes
    port.name === "b" ? { ...port, ingress: ["fixed"] } : port,
  );
  world.act("third", { verdict: "forward", port: "left:a" });
  const steady = devicePort("third", "c", "c", { ingress: ["steady"] });
  return [...state, steady, ...(d ? [devicePort("fourth", "d", "d", { ingress: d })] : [])];
}

type Pod = "a" | "b" | "c";

/**
 * Sends numbered datagrams from one pod to a closed port of another. Each line on standard input gives the number to
 * send.
 */
function sender(from: Pod, to: string): ChildProcess {
  const script = `exec 3>/dev/udp/${to}/9; i=${["a", "b", "c"].indexOf(from) * 30_000_000}
while read n; do for ((j = 0; j < n; j++)); do printf %08d $((i++)) >&3 || printf %08d $((i++)) >&3; done; done`;
  const child = spawn("nsenter", [`--net=${namespacePath(world.bench.pod(from))}`, "bash", "-c", script], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  senders.push(child);
  return child;
}

function counted(pod: Pod, counter: string): number {
  const snmp = world.bench.run(world.bench.pod(pod), "cat", "/proc/net/snmp").split("\n");
  const [names = "", values = ""] = snmp.filter((line) => line.startsWith("Udp: "));
  return Number(values.split(" ")[names.split(" ").indexOf(counter)]);
}

/** Puts chains in force. Returns errors by port id. */
function put(chains: Chains, ids: Ids, config: PanelConfig): ReadonlyMap<unknown, Error> {
  for (const [name, port] of compileAll(document(ports(chains)), ids)) world.panel.ports.set(name, port);
  if (!chains.d) world.panel.ports.remove("fourth:d");
  return world.panel.ports.commit(config);
}

/** The world's ids, with device indexes looked up once. */
function fixedIds(): Ids {
  const ids = world.ids();
  const devices = new Map(["va", "vb", "vc"].map((name) => [name, ids.device(name)]));
  devices.set("vd", NO_DEVICE);
  return { ...ids, device: (name) => devices.get(name) };
}

/** An ifindex that no device has: nothing comes in by this port. */
const NO_DEVICE = 1_000_000;

const chain = (of: readonly string[]) => fc.shuffledSubarray([...of]);
const change = fc.oneof(
  fc.record({ a: chain(OF_A) }),
  fc.record({ b: chain(OF_B) }),
  fc.record({ d: fc.option(chain(OF_D), { nil: undefined }) }),
);

test("1,000 random changes of chains in front of a full queue: no packet is judged twice or lost", async () => {
  const ids = fixedIds();
  const config = {
    recirc: world.bench.ifindex("weir_recirc0") ?? 0,
    split: world.bench.ifindex("weir_split0") ?? 0,
    processors: 1,
  };
  const flows = [sender("a", "10.9.0.2"), sender("b", "10.9.0.1"), sender("c", "10.9.0.1")];
  const down = PORTS.map((port) => world.drops(port, PORT_DOWN));
  let chains: Chains = { a: [], b: [], d: undefined };
  let waited = 0;
  const flips = [0, 0];
  for (const [i, one] of fc.sample(change, { numRuns: CHANGES, seed: 4711 }).entries()) {
    chains = { ...chains, ...one };
    const before = generation();
    expect(put(chains, ids, config).size).toBe(0);
    if (generation() !== before) flips[before] = (flips[before] ?? 0) + 1;
    if (i % 10 > 0) continue;
    for (const flow of flows) flow.stdin?.write("60\n");
    waited = Math.max(waited, gate.waiting());
    await new Promise(setImmediate);
  }
  const ended = flows.map((flow) => once(flow, "exit"));
  for (const flow of flows) flow.stdin?.end();
  await Promise.all(ended);
  gate.open();
  const [fromA = 0, fromB = 0, fromC = 0] = (["a", "b", "c"] as const).map((pod) => counted(pod, "OutDatagrams"));
  for (const count of [fromA, fromB, fromC]) expect(count).toBeGreaterThanOrEqual((CHANGES / 10) * 60);
  await expect.poll(() => counted("b", "NoPorts"), { timeout: 60_000 }).toBe(fromA);
  await expect.poll(() => counted("a", "NoPorts"), { timeout: 60_000 }).toBe(fromB + fromC);
  expect(waited).toBeGreaterThan(100);
  for (const name of [...OF_A, ...OF_B]) expect([name, [...new Set(world.timesJudged(name))]]).toEqual([name, [1]]);
  expect(world.timesJudged("fixed")).toEqual(Array(fromB).fill(1));
  expect(world.timesJudged("steady")).toEqual(Array(fromC).fill(1));
  // packets have walked both generations, and each was replaced under them
  for (const count of flips) expect(count).toBeGreaterThan(CHANGES / 4);
  expect(PORTS.map((port) => world.drops(port, PORT_DOWN))).toEqual(down);
});
