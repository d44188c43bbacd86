import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { namespacePath } from "../kernel/index.ts";
import type { Port } from "../model/document.ts";
import { World } from "./testing/acting.ts";
import { devicePort, document } from "./testing/bench.ts";
import { compileAll, type Ids } from "./testing/compile.ts";
import { Gate } from "./testing/gate.ts";

const CHANGES = 1000;
const PORT_DOWN = 1;
/**
 * Functions in the chains of pod a, of pod b, and of a pod that is added and removed. Packets wait at `x` and `h`
 * behind a full queue.
 */
const OF_A = ["p", "q", "r", "s", "x"];
const OF_B = ["t", "u", "v", "h", "z"];
const OF_C = ["k", "l"];

let world: World;
let gate: Gate;
const senders: ChildProcess[] = [];
beforeAll(() => {
  world = new World();
  for (const name of [...OF_A, ...OF_B, ...OF_C, "fixed"]) world.act(name, { verdict: "next", note: true });
  world.act("x", { verdict: "shape", device: "weir_shape0", note: true });
  world.act("h", { verdict: "hold", device: "weir_shape0", note: true });
  world.act("z", { verdict: "split", note: true });
  world.apply(document(ports({ a: [], b: [], c: undefined })));
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

interface Chains {
  a: string[];
  b: string[];
  /** Undefined: the port does not exist. */
  c: string[] | undefined;
}

function ports({ a, b, c }: Chains): Port[] {
  const state = world.pair({ in: a, out: b }).ports.map((port) =>
    // packets from pod b pass a chain that never changes
    port.name === "b" ? { ...port, ingress: ["fixed"] } : port,
  );
  return c ? [...state, devicePort("third", "c", "c", { ingress: c })] : state;
}

/**
 * Sends numbered datagrams from one pod to a closed port of another. Each line on standard input gives the number to
 * send.
 */
function sender(from: "a" | "b", to: string): ChildProcess {
  const script = `exec 3>/dev/udp/${to}/9; i=${from === "a" ? 0 : 50000000}
while read n; do for ((j = 0; j < n; j++)); do printf %08d $((i++)) >&3 || printf %08d $((i++)) >&3; done; done`;
  const child = spawn("nsenter", [`--net=${namespacePath(world.bench.pod(from))}`, "bash", "-c", script], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  senders.push(child);
  return child;
}

function counted(pod: "a" | "b", counter: string): number {
  const snmp = world.bench.run(world.bench.pod(pod), "cat", "/proc/net/snmp").split("\n");
  const [names = "", values = ""] = snmp.filter((line) => line.startsWith("Udp: "));
  return Number(values.split(" ")[names.split(" ").indexOf(counter)]);
}

/** The world's ids, with device indexes looked up once. */
function fixedIds(): Ids {
  const ids = world.ids();
  const devices = new Map(["va", "vb", "vc"].map((name) => [name, ids.device(name)]));
  return { ...ids, device: (name) => devices.get(name) };
}

const chain = (of: readonly string[]) => fc.shuffledSubarray([...of]);
const change = fc.oneof(
  fc.record({ a: chain(OF_A) }),
  fc.record({ b: chain(OF_B) }),
  fc.record({ c: fc.option(chain(OF_C), { nil: undefined }) }),
);

test("1,000 random changes of chains in front of a full queue: no packet is judged twice or lost", async () => {
  const ids = fixedIds();
  const config = {
    recirc: world.bench.ifindex("weir_recirc0") ?? 0,
    split: world.bench.ifindex("weir_split0") ?? 0,
    processors: 1,
  };
  const flows = [sender("a", "10.9.0.2"), sender("b", "10.9.0.1")];
  const down = ["left:a", "right:b"].map((port) => world.drops(port, PORT_DOWN));
  let chains: Chains = { a: [], b: [], c: undefined };
  let waited = 0;
  for (const [i, one] of fc.sample(change, { numRuns: CHANGES, seed: 4711 }).entries()) {
    chains = { ...chains, ...one };
    const compiled = compileAll(document(ports(chains)), ids);
    for (const [name, port] of compiled) world.panel.ports.set(name, port);
    if (!chains.c) world.panel.ports.remove("third:c");
    expect(world.panel.ports.commit(config).size).toBe(0);
    if (i % 10 > 0) continue;
    for (const flow of flows) flow.stdin?.write("60\n");
    waited = Math.max(waited, gate.waiting());
    await new Promise(setImmediate);
  }
  const ended = flows.map((flow) => once(flow, "exit"));
  for (const flow of flows) flow.stdin?.end();
  await Promise.all(ended);
  gate.open();
  for (const [from, to] of [
    ["a", "b"],
    ["b", "a"],
  ] as const) {
    const count = counted(from, "OutDatagrams");
    expect(count).toBeGreaterThanOrEqual((CHANGES / 10) * 60);
    await expect.poll(() => counted(to, "NoPorts"), { timeout: 60_000 }).toBe(count);
  }
  expect(waited).toBeGreaterThan(100);
  for (const name of [...OF_A, ...OF_B]) expect([name, [...new Set(world.timesJudged(name))]]).toEqual([name, [1]]);
  expect(world.timesJudged("fixed")).toEqual(Array(counted("b", "OutDatagrams")).fill(1));
  expect(["left:a", "right:b"].map((port) => world.drops(port, PORT_DOWN))).toEqual(down);
});
