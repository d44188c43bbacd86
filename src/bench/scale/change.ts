import { setTimeout as sleep } from "node:timers/promises";

/** What one change cost, ms. */
export interface Sample {
  /** CPU until its rows are in the kernel and the agent rests. */
  cpu: number;
  /** The same with what follows: what the agent reports of it. */
  all: number;
  /** From the event to the last row that the kernel holds for it; null if it writes none that is seen. */
  time: number | null;
}

/** An agent as it is watched from outside. */
export interface Watched {
  /** CPU time that it has used, ms. */
  cpu(): number;
  /** What the kernel's maps that matter hold; undefined if none does. */
  digest?: (() => string) | undefined;
  /** CPU ms in a ms, while nothing changes. */
  idle: number;
}

export interface Pace {
  /** The agent rests once it has used so little for so long, ms. */
  rest: number;
  /** Between the rows and the look at what followed, ms. */
  follow: number;
  /** After this it is taken as it is, ms. */
  patience: number;
}
export const PACE: Pace = { rest: 60, follow: 280, patience: 20_000 };

/** CPU ms in the time of a rest that is none of the change's; as much again as it uses anyway is none either. */
const NOTHING = 0.4;
/** ms between two looks. */
const LOOK = 1;
const LOOK_CPU = 5;

/** Makes one change and waits until all of it is done. */
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

/** Looks at the rows while a change is being made that takes its time. */
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

/** Resolves with the time at which the agent has used next to nothing for a while. */
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

/** Has next to nothing been used in the last `rest` ms? `marks`: times and CPU used until then, in order. */
export function isResting(marks: readonly { time: number; cpu: number }[], rest: number, idle = 0): boolean {
  const end = marks.at(-1);
  if (end === undefined) return false;
  const before = marks.findLast(({ time }) => time <= end.time - rest);
  return before !== undefined && end.cpu - before.cpu < NOTHING + 2 * idle * (end.time - before.time);
}

/** When the rows changed last. */
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
