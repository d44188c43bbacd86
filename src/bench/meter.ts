import type { Stage } from "./stage.ts";
import type { Beside } from "./weir.ts";

const PORT = 7010;
/** Each line of the sink has a time in ms of CLOCK_MONOTONIC and the bytes received in the BIN_MS before it. */
const BIN_MS = 20;

const SINK = `
let bytes = 0;
const server = require("node:net").createServer((s) => { s.on("data", (d) => { bytes += d.length; }); s.on("error", () => {}); });
server.listen(${PORT}, "::", () => console.log("listening"));
setInterval(() => { console.log(Number(process.hrtime.bigint() / 1000n) / 1000 + " " + bytes); bytes = 0; }, ${BIN_MS});
`;
const SOURCE = `
const s = require("node:net").connect({ host: process.argv[1], port: ${PORT} });
const block = Buffer.alloc(65536);
const push = () => { while (s.write(block)); };
s.on("connect", push).on("drain", push).on("error", (e) => { console.error(e.message); process.exit(1); });
`;

/** CLOCK_MONOTONIC in ms: the same clock in every process of the machine. */
export function monotonic(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** A greedy TCP flow between two pods whose rate at the receiver is recorded. */
export class Meter {
  /** Times (ms) and bytes of bins, in order. */
  readonly bins: { time: number; bytes: number }[] = [];
  readonly #sink: Beside;
  #source: Beside | undefined;

  private constructor(sink: Beside) {
    this.#sink = sink;
  }

  static async start(stage: Stage, from: string, to: string): Promise<Meter> {
    const { promise: ready, resolve: listening } = Promise.withResolvers<void>();
    let meter: Meter | undefined;
    const onLine = (line: string): void => {
      const [time, bytes] = line.split(" ").map(Number);
      if (bytes === undefined) listening();
      else meter?.bins.push({ time: time ?? 0, bytes });
    };
    const sink = stage.startExec(to, [process.execPath, "-e", SINK], onLine);
    meter = new Meter(sink);
    const died = sink.ended.then(({ stderr }) => Promise.reject(new Error(`start meter in ${to}: ${stderr}`)));
    await Promise.race([ready, died]);
    died.catch(() => {});
    meter.#source = stage.startExec(from, [process.execPath, "-e", SOURCE, stage.ip(to, 4)]);
    return meter;
  }

  /** Payload rate in bit/s between two moments; undefined until the bins cover them. */
  rate(begin: number, end: number): number | undefined {
    return windowRate(this.bins, begin, end);
  }

  async close(): Promise<void> {
    await Promise.all([this.#source?.stop(), this.#sink.stop()]);
  }
}

/** Mean rate in bit/s over the bins that end in (begin, end]; undefined if the last bin is before `end`. */
export function windowRate(
  bins: readonly { time: number; bytes: number }[],
  begin: number,
  end: number,
): number | undefined {
  const last = bins.at(-1);
  if (last === undefined || last.time < end) return undefined;
  let bytes = 0;
  let from: number | undefined;
  let to = begin;
  for (let i = bins.length - 1; i >= 0; i--) {
    const { time, bytes: more } = bins[i] as { time: number; bytes: number };
    if (time > end) continue;
    if (time <= begin) {
      from = time;
      break;
    }
    if (to === begin) to = time;
    bytes += more;
  }
  if (from === undefined || to <= from) return undefined;
  return (8 * bytes) / ((to - from) / 1000);
}

const WINDOW_MS = 100;

/**
 * The time, in ms after `begin`, at which a flow's rate changed from `old` to `wanted`: the middle of the first window of 100 ms whose
 * mean is beyond their geometric middle. undefined if it has not within `patience` ms.
 */
export async function changeTime(
  meter: Pick<Meter, "rate">,
  change: { begin: number; old: number; wanted: number; patience: number },
): Promise<number | undefined> {
  const { begin, old, wanted, patience } = change;
  const middle = Math.sqrt(old * wanted);
  for (let at = begin; at < begin + patience; at += BIN_MS / 2) {
    let rate = meter.rate(at, at + WINDOW_MS);
    while (rate === undefined && monotonic() < begin + patience + 5000) {
      await new Promise((resolve) => setTimeout(resolve, BIN_MS));
      rate = meter.rate(at, at + WINDOW_MS);
    }
    if (rate !== undefined && (wanted > old ? rate > middle : rate < middle)) return at + WINDOW_MS / 2 - begin;
  }
  return undefined;
}
