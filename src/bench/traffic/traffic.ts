import { readFileSync } from "node:fs";
import { ofTree } from "../tree.ts";
import { type Beside, start } from "../weir.ts";
import type { FloodOptions } from "./flood.ts";
import type { Gap } from "./gaps.ts";
import type { Received, ReceiveOptions } from "./receive.ts";
import type { RequestOptions } from "./request.ts";
import type { SendOptions, Sent } from "./send.ts";

/** A process in a pod's namespace that sends or receives. */
export interface Traffic<Result> {
  pid: number;
  /** Stops it, unless it has ended, and returns its result. */
  stop(): Promise<Result>;
  ended: Promise<Result>;
}

/** Receives datagrams on a port of a namespace until it is stopped. Resolves once it listens. */
export const receive = (netns: string, options: ReceiveOptions): Promise<Traffic<Received>> =>
  begin("receive", netns, options);

/**
 * Sends datagrams from a namespace, all from the first permitted processor: those of a process that changes processors overtake
 * each other in a veth. Resolves once it has begun.
 */
export function send(netns: string, options: SendOptions): Promise<Traffic<Sent>> {
  return onOneProcessor("send", netns, options);
}

/** Sends the same datagram from a namespace without pause, from one processor, until it is stopped. */
export const flood = (netns: string, options: FloodOptions): Promise<Traffic<null>> =>
  onOneProcessor("flood", netns, options);

/** Opens a port of a namespace and does not read its datagrams, until it is stopped. */
export const sink = (netns: string, options: { port: number }): Promise<Traffic<null>> => begin("sink", netns, options);

function onOneProcessor<Result>(role: string, netns: string, options: object): Promise<Traffic<Result>> {
  const [cpu = 0] = cpuList(readFileSync("/proc/self/status", "utf8"));
  return launch(role, ["nsenter", `--net=${netns}`, "--", "taskset", "-c", String(cpu)], options);
}

/** Answers requests on a port of a namespace until it is stopped. */
export const answer = (netns: string, options: { port: number }): Promise<Traffic<null>> =>
  begin("answer", netns, options);

/** Sends requests from a namespace sequentially until it is stopped. Returns their times, µs. */
export const request = (netns: string, options: RequestOptions): Promise<Traffic<number[]>> =>
  begin("request", netns, options);

/** Records on every processor when it did not run a due process, until it is stopped. Returns all gaps. */
export async function schedulingGaps(): Promise<Traffic<Gap[]>> {
  const cpus = cpuList(readFileSync("/proc/self/status", "utf8"));
  const each = await Promise.all(cpus.map((cpu) => launch<Gap[]>("gaps", ["taskset", "-c", String(cpu)], {})));
  const all = async (results: Promise<Gap[]>[]): Promise<Gap[]> => (await Promise.all(results)).flat();
  return {
    pid: each[0]?.pid ?? 0,
    ended: all(each.map((one) => one.ended)),
    stop: () => all(each.map((one) => one.stop())),
  };
}

/** Processors that a process may use, from the text of /proc/PID/status. */
export function cpuList(status: string): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const begin = <Result>(role: string, netns: string, options: object): Promise<Traffic<Result>> =>
  launch(role, ["nsenter", `--net=${netns}`, "--"], options);

async function launch<Result>(role: string, within: readonly string[], options: object): Promise<Traffic<Result>> {
  const { promise: listening, resolve: ready } = Promise.withResolvers<void>();
  const argv = [...within, process.execPath, ofTree("dist/traffic.js"), role, JSON.stringify(options)];
  const beside: Beside = start(argv, { onLine: (line) => line === "ready" && ready() });
  const ended = beside.ended.then(({ code, stdout, stderr }) => {
    if (code !== 0) throw new Error(`run ${argv.join(" ")}: exit code ${code}\n${stderr}`);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Result;
  });
  ended.catch(() => {}); // `stop` rethrows it
  await Promise.race([listening, ended]);
  return {
    pid: beside.child.pid ?? 0,
    ended,
    stop: async () => {
      await beside.stop();
      return ended;
    },
  };
}
