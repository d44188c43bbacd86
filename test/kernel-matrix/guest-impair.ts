/** Runs inside the test machine: delay and pacing with fq, and loss beside netem's; one JSON line a check. */
import { impairInstance } from "../../src/functions/impair/impair.ts";
import { Node } from "../../src/functions/testing/node.ts";
import type { Effects, ImpairRule } from "../../src/model/impair.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { check } from "./report.ts";

const B = "10.244.1.11";
const DELAY = { base: 50e6, jitter: 10e6 };
const PACE = 2_000_000;
/**
 * One flow at 1 % loss is limited by its losses if the round trip is long, far below what the emulated machine can
 * carry.
 */
const ROUND_TRIP = "10ms";
/** Several flows: the throughput of one varies too much within seconds. */
const FLOW = ["-t", "5", "-O", "1", "-P", "4", "-C", "cubic"];

let node: Node;
const run = (pod: string, ...command: string[]): string => node.run(pod, ...command);

function impair(effects?: Effects): void {
  const rule = (given: Effects): ImpairRule => ({
    id: "loss",
    direction: "egress",
    source: "loss",
    configured: "",
    effects: given,
    match: {},
    exempt: { probes: false, dns: false },
  });
  node.applyRules({ impairments: effects ? { a: [rule(effects)] } : {} });
}

/** Round-trip times from pod a to pod b, ms, and the sequence numbers in the order of the replies. */
function pings(count: number, interval: string): { times: number[]; order: number[] } {
  const output = run("a", "ping", "-n", "-c", String(count), "-i", interval, "-W", "5", B);
  const found = [...output.matchAll(/icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms/g)];
  return { order: found.map((one) => Number(one[1])), times: found.map((one) => Number(one[2])) };
}

const at = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))] ?? Number.NaN;
const within = (what: string, value: number, low: number, high: number): void => {
  if (!(value >= low && value <= high)) throw new Error(`${what}: ${value}, not ${low} to ${high}`);
};

function distribution(): string {
  impair();
  const idle = at(pings(40, "0.05").times, 0.5);
  impair({ delay: DELAY });
  const { times } = pings(200, "0.05");
  const delays = times.map((time) => time - idle);
  const quantiles = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1].map((q) => `p${100 * q} ${at(delays, q).toFixed(1)}`);
  const said = `${times.length} of 200, ms: ${quantiles.join(", ")}; idle ${idle.toFixed(2)}`;
  if (times.length !== 200) throw new Error(said);
  // No reply is early; of 200 with delays of 40 to 60 ms at least one is beyond 55 ms. Late replies depend on the
  // machine.
  if (!(at(times, 0) >= 40 && at(times, 1) >= 55)) throw new Error(said);
  return said;
}

type Use = Record<"packets" | "lost" | "waited" | "late" | "delayed" | "released" | "reordered", bigint>;
function useOfRule(): Use {
  const table = node.panel.table("weir_impair_use");
  const instance = node.panel.names.id("instance", impairInstance(node.endpoint("a").device, "egress", "loss"));
  return table.value.decode(table.lookup(table.key.encode({ instance })) ?? Buffer.alloc(0)) as Use;
}

/** The mean delay by the rule's own counters: the requested one, and how late packets were released. */
function receipt(): string {
  impair();
  impair({ delay: DELAY });
  const { times } = pings(100, "0.02");
  const { waited, late, delayed, released } = useOfRule();
  const [asked, over] = [Number(waited) / Number(delayed) / 1e6, Number(late) / Number(released) / 1e6];
  const said = `${asked.toFixed(2)} ms asked for, ${over.toFixed(2)} ms late, ${delayed} held, ${released} back`;
  if (released !== delayed || Number(delayed) < times.length) throw new Error(said);
  // Uniform from 40 to 60: five standard errors; lateness depends on the emulation.
  within(`hold (${said})`, asked, 47.1, 52.9);
  if (!(over > 0)) throw new Error(said);
  return said;
}

/** Round-trip times of copies: a copy arrives with its original, with the same delay. */
function copies(): string {
  impair({ delay: { base: 50e6, jitter: 0 }, duplicate: 1 });
  const { times, order: came } = pings(50, "0.05");
  const said = `${came.length} answers to 50, earliest ${at(times, 0).toFixed(1)} ms`;
  if (came.length < 99 || at(times, 0) < 50) throw new Error(said);
  return said;
}

function overtaking(): string {
  impair();
  impair({ delay: { base: 50e6, jitter: 0 }, reorder: 0.2 });
  const { order: came } = pings(200, "0.01");
  const { packets, reordered } = useOfRule();
  const p = binomialTest(Number(reordered), Number(packets), 0.2);
  const overtaken = came.filter((number, i) => number < Math.max(0, ...came.slice(0, i))).length;
  const said = `${reordered} of ${packets} went at once (p ${p.toFixed(3)}), ${overtaken} were overtaken`;
  if (came.length !== 200 || p < 1e-4 || overtaken === 0) throw new Error(said);
  return said;
}

function order(): string {
  impair({ delay: { base: 50e6, jitter: 0 } });
  const { order: came } = pings(200, "0.01");
  const sorted = came.every((number, i) => i === 0 || number > (came[i - 1] ?? 0));
  if (!sorted || came.length !== 200) throw new Error(`came back: ${came.join(" ")}`);
  return "200 in order";
}

interface Report {
  end: Record<"sum" | "sum_received", { bits_per_second: number }>;
}
function iperf(...options: string[]): Report["end"] {
  run("b", "iperf3", "-s", "-1", "-D");
  run("b", "sleep", "0.5");
  return (JSON.parse(run("a", "iperf3", "-J", "-c", B, ...options)) as Report).end;
}

const HELD = 200;
/** One of the pods' UDP counters. */
function udp(pod: "a" | "b", counter: string): number {
  const snmp = run(pod, "cat", "/proc/net/snmp").split("\n");
  const [names = "", values = ""] = snmp.filter((line) => line.startsWith("Udp: "));
  return Number(values.split(" ")[names.split(" ").indexOf(counter)]);
}

/** Removes a delay while it holds datagrams: all of them must arrive, where no one listens. */
function leaving(): string {
  impair();
  impair({ delay: { base: 3e9, jitter: 0 } });
  const had = { sent: udp("a", "OutDatagrams"), arrived: udp("b", "NoPorts") };
  const send = `for ((i = 0; i < ${HELD}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
  run("a", "bash", "-c", `exec 3>/dev/udp/${B}/9; ${send}`);
  const sent = udp("a", "OutDatagrams") - had.sent;
  const arrived = (): number => udp("b", "NoPorts") - had.arrived;
  const { delayed } = useOfRule();
  const before = arrived();
  impair();
  for (let tries = 0; tries < 150 && arrived() < sent; tries++) run("a", "sleep", "0.1");
  const said = `${arrived()} of ${sent} arrived, ${before} of them before; ${delayed} were held`;
  if (arrived() !== sent || before >= sent || Number(delayed) < HELD) throw new Error(said);
  return said;
}

function pace(): string {
  impair({ pace: PACE });
  const bytes = 1000;
  const { sum_received: received } = iperf("-u", "-b", String(3 * PACE), "-l", String(bytes), "-t", "6", "-O", "2");
  const rate = (received.bits_per_second * (bytes + 28)) / bytes;
  const said = `${(rate / 1e6).toFixed(3)} Mbit/s of ${PACE / 1e6}`;
  within(said, rate / PACE, 0.4, 1.25); // a busy machine's processor is sometimes not run
  return said;
}

function loss(): string {
  run("b", "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", ROUND_TRIP, "limit", "10000");
  // netem drops whole TCP super-segments; with one segment each, segments are lost one by one.
  run("a", "ip", "link", "set", "eth0", "gso_max_segs", "1");
  const flow = () => iperf(...FLOW).sum_received.bits_per_second / 1e6;
  impair(); // Counters are removed with their rule.
  impair({ loss: { model: "uniform", probability: 0.01 } });
  const ours = flow();
  const { packets, lost } = useOfRule();
  impair();
  run("a", "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "loss", "1%", "limit", "10000");
  const theirs = flow();
  run("a", "tc", "qdisc", "del", "dev", "eth0", "root");
  const p = binomialTest(Number(lost), Number(packets), 0.01);
  const said = `${lost} of ${packets} lost (p ${p.toFixed(3)}); impair:netem ${ours.toFixed(1)}:${theirs.toFixed(1)} Mbit/s`;
  if (p < 1e-4 || !(ours > 0 && theirs > 0)) throw new Error(said);
  return said;
}

check("a node comes up", () => {
  node = new Node("vm", "/weir/dist/bpf");
  node.applyRules({});
  return `${pings(3, "0.2").times.length} pings`;
});
check("delay 50 ± 10 ms", distribution);
check("delay by the rule's own count", receipt);
check("delay alone keeps the order", order);
check("copies of delayed packets are delayed", copies);
check("reorder: a part overtakes", overtaking);
check("a delay that goes loses nothing that it holds", leaving);
check("pace", pace);
check("TCP at 1 % loss: impair and netem", loss);
check("the node goes", () => {
  node.close();
  return "";
});
