import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Beside, start } from "./weir.ts";

/** Where a flow runs: two network namespaces and the receiver's address. */
export interface Path {
  from: string;
  to: string;
  address: string;
}

/** Bytes that a namespace's IP layer received, and how long its flow ran, ms. */
interface Turns {
  bytes: number;
  ms: number;
}

/** Length of a turn, ms: long enough for thousands of packets, short enough that other load affects both flows equally. */
const TURN = 20;
/** Time in which the receiver gets what a stopped sender had queued, ms. */
const DRAIN = 5;
const WARM_UP = 250;
const PORT = 5301;
const HOUR = "3600";

/**
 * Measures two paths, bit/s at layer 3. Each has a cubic flow; they run alternately for 20 ms each, and are restarted after
 * `turns` turns of each. So other load on the machine and variation between flows affect both paths equally. Flows that run
 * one after the other, for seconds each, differ by 10 % and more without any change.
 */
export async function alternate(a: Path, b: Path, rounds: number, turns: number): Promise<[a: number, b: number]> {
  const sums: [Turns, Turns] = [
    { bytes: 0, ms: 0 },
    { bytes: 0, ms: 0 },
  ];
  for (let round = 0; round < rounds; round++) {
    const flows = [new Flow(a, PORT), new Flow(b, PORT + 1)] as const;
    try {
      await Promise.all(flows.map((flow) => flow.begin()));
      for (let turn = 0; turn < turns; turn++) {
        for (const which of turn % 2 ? ([1, 0] as const) : ([0, 1] as const)) {
          const { bytes, ms } = await flows[which].turn();
          sums[which].bytes += bytes;
          sums[which].ms += ms;
        }
      }
    } finally {
      await Promise.all(flows.map((flow) => flow.end()));
    }
  }
  const rate = ({ bytes, ms }: Turns): number => (8000 * bytes) / ms;
  return [rate(sums[0]), rate(sums[1])];
}

class Flow {
  readonly #path: Path;
  readonly #port: string;
  #server: Beside | undefined;
  #client: Beside | undefined;

  constructor(path: Path, port: number) {
    this.#path = path;
    this.#port = String(port);
  }

  async begin(): Promise<void> {
    const { from, to, address } = this.#path;
    const inside = (netns: string, ...command: string[]): Beside =>
      start(["nsenter", `--net=${netns}`, "--", "iperf3", ...command, "-p", this.#port]);
    this.#server = inside(to, "-s", "-1", "--forceflush");
    await sleep(WARM_UP);
    const before = this.#received();
    this.#client = inside(from, "-c", address, "-C", "cubic", "-t", HOUR, "-i", "60");
    await sleep(WARM_UP);
    this.#client.child.kill("SIGSTOP");
    if (this.#received() > before) return;
    this.#client.child.kill("SIGCONT");
    const { stdout, stderr } = await this.#client.stop();
    throw new Error(`start flow to ${address}: nothing arrived\n${stdout}${stderr}`);
  }

  async turn(): Promise<Turns> {
    const before = this.#received();
    const begin = performance.now();
    this.#client?.child.kill("SIGCONT");
    await sleep(TURN);
    this.#client?.child.kill("SIGSTOP");
    const ms = performance.now() - begin;
    await sleep(DRAIN);
    return { bytes: this.#received() - before, ms };
  }

  async end(): Promise<void> {
    this.#client?.child.kill("SIGCONT");
    await Promise.all([this.#client?.stop(), this.#server?.stop()]);
  }

  #received(): number {
    return octets(readFileSync(`/proc/${this.#server?.child.pid}/net/netstat`, "utf8"));
  }
}

/** Bytes that IP has received, from the text of `/proc/PID/net/netstat`: a line of names and one of values. */
export function octets(netstat: string): number {
  const [names = [], values = []] = netstat
    .split("\n")
    .filter((line) => line.startsWith("IpExt:"))
    .map((line) => line.split(" "));
  const at = names.indexOf("InOctets");
  const value = Number(values[at]);
  if (at < 0 || !Number.isSafeInteger(value)) throw new Error("read received bytes: netstat has no IpExt InOctets");
  return value;
}
