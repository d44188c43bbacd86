import { setTimeout as sleep } from "node:timers/promises";

/** Cost of one change, ms. */
export interface Sample {
  /** CPU time until its rows are in the kernel and the agent is idle. */
  cpu: number;
  /** The same, including the agent's later reports about it. */
  all: number;
  /** Time from the event to its last row in the kernel; null if it writes no observed row. */
  time: number | null;
}

/** An agent, observed from outside. */
export interface Watched {
  /** CPU time used so far, ms. */
  cpu(): number;
  /** Digest of the maps that the change writes; undefined if it writes none. */
  digest?: (() => string) | undefined;
  /** CPU ms per ms while nothing changes. */
  idle: number;
}

export interface Pace {
  /** The agent is idle once it has used almost no CPU time for so long, ms. */
  rest: number;
  /** Time from the rows to the reading that includes the reports, ms. */
  follow: number;
  /** Longest wait for an idle agent, ms. */
  patience: number;
}
export const PACE: Pace = { rest: 60, follow: 280, patience: 20_000 };

/** CPU ms in the time of `rest` that do not count as activity, in addition to twice the idle consumption. */
const NOTHING = 0.4;
/** ms between two readings. */
const LOOK = 1;
const LOOK_CPU = 5;

/** Makes one change and waits until it is complete. */
export async function measureChange(
  agent: Watched,
  make: () => void | Promise<void>,
  pace: Pace = PACE,
): Promise<Sample> {
  const rows = new RowTimes(agent.digest);
  const start = { time: performance.now(), cpu: agent.cpu() };
  const spent = (until: number): number => agent.cpu() - start.cpu - agent.idle * (until - start.time);
  const made = Promise.resolve(make()).then(() => performance.now());
  const inForce = await untilRest(agent, { pace, begin: await raced(made, rows), rows });
  const cpu = spent(inForce);
  await sleep(pace.follow);
  const end = await untilRest(agent, { pace, begin: performance.now(), rows });
  return { cpu, all: spent(end), time: rows.last === null ? null : rows.last - start.time };
}

/** Reads the rows while a change is being made that takes longer. */
async function raced(made: Promise<number>, rows: RowTimes): Promise<number> {
  let end: number | undefined;
  made.then(
    (time) => {
      end = time;
    },
    () => {},
  );
  for (;;) {
    rows.look();
    if (end !== undefined) return end;
    await Promise.race([made, sleep(LOOK)]);
  }
}

/** Resolves with the time at which the agent became idle. */
async function untilRest(
  agent: Watched,
  { pace, begin, rows }: { pace: Pace; begin: number; rows: RowTimes },
): Promise<number> {
  const marks = [{ time: begin, cpu: agent.cpu() }];
  for (let now = begin; now < begin + pace.patience; now = performance.now()) {
    await sleep(LOOK);
    rows.look();
    const last = marks.at(-1)?.time ?? begin;
    if (now - last < LOOK_CPU) continue;
    marks.push({ time: now, cpu: agent.cpu() });
    if (isResting(marks, pace.rest, agent.idle)) return now;
  }
  return performance.now();
}

/** Whether almost no CPU time was used in the last `rest` ms. @param marks times and CPU time used until then, ascending */
export function isResting(marks: readonly { time: number; cpu: number }[], rest: number, idle = 0): boolean {
  const end = marks.at(-1);
  if (end === undefined) return false;
  const before = marks.findLast(({ time }) => time <= end.time - rest);
  return before !== undefined && end.cpu - before.cpu < NOTHING + 2 * idle * (end.time - before.time);
}

/** Time of the last change of the rows. */
class RowTimes {
  last: number | null = null;
  readonly #digest: (() => string) | undefined;
  #held: string | undefined;

  constructor(digest: (() => string) | undefined) {
    this.#digest = digest;
    this.#held = digest?.();
  }

  look(): void {
    const held = this.#digest?.();
    if (held === this.#held) return;
    this.#held = held;
    this.last = performance.now();
  }
}
