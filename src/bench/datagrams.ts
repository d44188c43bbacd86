import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { softnetDrops } from "./continuity.ts";
import { fromSnmp, since } from "./counters.ts";
import type { Stage } from "./stage.ts";

/** Numbered datagrams from one pod to another: how many arrived, as the pods' kernels count, and which ones. */

export const PORT = 7009;
/** Maximum number of datagrams of a run. */
export const MOST = 2 ** 21;
const FILES = `["snmp", "snmp6", "netstat"].map((name) => require("node:fs").readFileSync("/proc/net/" + name, "utf8")).join("")`;

/** Records the numbers that arrive. Answers a TCP connection from its own pod with the record and the pod's counters. */
const SINK = `
const seen = new Map();
const socket = require("node:dgram").createSocket("udp6");
socket.on("message", (data) => {
  const run = data.readUInt32BE(0), number = data.readUInt32BE(4);
  let bits = seen.get(run);
  if (!bits) seen.set(run, bits = Buffer.alloc(${MOST / 8}));
  if (number >> 3 < bits.length) bits[number >> 3] |= 1 << (number & 7);
});
socket.bind(${PORT}, "::", () => { try { socket.setRecvBufferSize(4 << 20); } catch {} });
require("node:net").createServer((client) => client.once("data", (text) => {
  const bits = seen.get(Number(text));
  seen.clear();
  client.end(JSON.stringify({ snmp: ${FILES}, seen: bits ? bits.toString("base64") : "" }));
})).listen(${PORT}, "127.0.0.1");
`;
const ASK = `
const client = require("node:net").connect(${PORT}, "127.0.0.1", () => client.write(process.argv[1]));
client.pipe(process.stdout);
`;
/** Sends COUNT datagrams of run RUN in small groups, no faster than the reader reads; prints its pod's counters. */
const SEND = `
const [address, run, count] = [process.argv[1], Number(process.argv[2]), Number(process.argv[3])];
const snmp = () => ${FILES};
const before = snmp();
const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
let sent = 0, answered = 0;
const more = () => {
  const burst = Math.min(64, count - sent);
  for (let i = 0; i < burst; i++, sent++) {
    const data = Buffer.alloc(100);
    data.writeUInt32BE(run, 0);
    data.writeUInt32BE(sent, 4);
    socket.send(data, ${PORT}, address, () => {
      if (++answered === count) socket.close(() => console.log(JSON.stringify({ before, after: snmp() })));
      else if (answered === sent) setTimeout(more, 1);
    });
  }
};
more();
`;
/** A pod's command that receives datagrams. */
export const sink = [process.execPath, "-e", SINK];

/** Result of a run of datagrams. */
export interface Flight {
  sent: number;
  /** Lost datagrams, as the receiver's kernel counts. */
  lost: number;
  /** Numbers that did not arrive, ascending. */
  missing: number[];
  /** Packets that this machine's queues dropped meanwhile because of missing CPU time. */
  backlogDrops: number;
}

/** Attempts of a run: if the reader was too slow, it is unknown which datagrams were lost, and the run is repeated. */
const TRIES = 3;
let runs = 0;

/** Sends `count` datagrams, at most `MOST`, after `prepare`. One CPU sends them, so that they arrive in order. */
export async function fly(
  stage: Stage,
  { from, to, family, count }: { from: string; to: string; family: 4 | 6; count: number },
  prepare: () => Promise<unknown>,
): Promise<Flight> {
  for (let tried = 1; ; tried++) {
    await prepare();
    const flight = await once(stage, from, to, family, count);
    if (flight.lost === flight.missing.length) return flight;
    if (tried === TRIES) {
      throw new Error(
        `read datagrams in ${to}: its kernel missed ${flight.lost}, its reader ${flight.missing.length}, ${TRIES} times`,
      );
    }
  }
}

async function once(stage: Stage, from: string, to: string, family: 4 | 6, count: number): Promise<Flight> {
  const run = ++runs;
  const ask = async () =>
    JSON.parse(await stage.exec(to, [process.execPath, "-e", ASK, String(run)])) as { snmp: string; seen: string };
  const [begin, backlog] = [await ask(), softnetDrops()];
  const send = [
    "taskset",
    "-c",
    firstCpu(),
    process.execPath,
    "-e",
    SEND,
    stage.ip(to, family),
    String(run),
    String(count),
  ];
  const counted = JSON.parse(await stage.exec(from, send, 120_000)) as { before: string; after: string };
  await sleep(200);
  const end = await ask();
  const sent = since(fromSnmp(counted.before), fromSnmp(counted.after)).udpOut;
  const arrived = since(fromSnmp(begin.snmp), fromSnmp(end.snmp)).udpArrived;
  const missing = unset(Buffer.from(end.seen, "base64"), count);
  return { sent, lost: sent - arrived, missing, backlogDrops: softnetDrops() - backlog };
}

/** Numbers below `count` whose bits are not set. */
export function unset(bits: Uint8Array, count: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => (((bits[i >> 3] ?? 0) >> (i & 7)) & 1) === 0);
}

/** Number of runs of 1, 2, … consecutive numbers; runs of `longest` or more are counted together. */
export function runsOf(numbers: readonly number[], longest: number): number[] {
  const counts = Array<number>(longest).fill(0);
  let length = 0;
  for (const [i, number] of numbers.entries()) {
    length++;
    if (numbers[i + 1] === number + 1) continue;
    const place = Math.min(length, longest) - 1;
    counts[place] = (counts[place] ?? 0) + 1;
    length = 0;
  }
  return counts;
}

/** The first CPU that this process may use. */
function firstCpu(status = readFileSync("/proc/self/status", "utf8")): string {
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(status)?.[1] ?? "0";
}
