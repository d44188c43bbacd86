import { createHash } from "node:crypto";
import type { Problem } from "../model/problem.ts";

/** Objects that people look at when traffic is not what they asked for. */
const TOLD: Readonly<Record<string, string>> = { Pod: "v1", Service: "v1" };

export interface EventBody {
  namespace: string;
  /** The same for the same words about the same object, on every node and after every start. */
  name: string;
  body: object;
}

/** An Event for a problem of a pod or a Service; undefined for others. `uid`: of the object, if it is known. */
export function eventOf(problem: Problem, uid: string | undefined, node: string, now: string): EventBody | undefined {
  const [kind = "", namespace, name] = problem.object.split("/");
  const apiVersion = TOLD[kind];
  if (apiVersion === undefined || !namespace || !name || problem.severity === "skipped") return undefined;
  const message = problem.path ? `${problem.path}: ${problem.message}` : problem.message;
  const digest = createHash("sha256")
    .update(JSON.stringify([problem.object, uid, message]))
    .digest("hex")
    .slice(0, 16);
  const event = `${name.slice(0, 200)}.weir-${digest}`;
  const fields = problem.path === undefined ? {} : { fieldPath: problem.path.slice(0, 512) };
  return {
    namespace,
    name: event,
    body: {
      ...{ apiVersion: "v1", kind: "Event", metadata: { name: event, namespace } },
      involvedObject: { apiVersion, kind, namespace, name, ...(uid !== undefined && { uid }), ...fields },
      ...{ type: "Warning", reason: "RuleNotEnforced", message: message.slice(0, 1024), count: 1 },
      ...{ source: { component: "weir-agent", host: node }, firstTimestamp: now, lastTimestamp: now },
    },
  };
}

/** So many at once, and so many a minute for good. A pod's author may write something else wrong every second. */
const BURST = 25;
const PER_MINUTE = 20;
/** Of one object in an hour, after which the server forgets them. */
const PER_OBJECT = 10;
const HOUR = 3_600_000;

/** Records which events have been written. Entries expire after an hour, like events on the server. */
export class EventQuota {
  #tokens = BURST;
  #filled: number;
  #told = new Map<string, { object: string; at: number }>();

  /** @param now ms of a clock that never goes back, like the other times */
  constructor(now: number) {
    this.#filled = now;
  }

  /** Takes one if it is new and there is room. */
  take(event: string, object: string, now: number): boolean {
    for (const [key, { at }] of this.#told) if (now - at > HOUR) this.#told.delete(key);
    if (this.#told.has(event)) return false;
    const same = [...this.#told.values()].filter((one) => one.object === object).length;
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filled) / 60_000) * PER_MINUTE);
    this.#filled = now;
    if (same >= PER_OBJECT || this.#tokens < 1) return false;
    this.#tokens -= 1;
    this.#told.set(event, { object, at: now });
    return true;
  }

  /** Removes the record of an event that could not be written. */
  giveBack(event: string): void {
    this.#told.delete(event);
  }
}
