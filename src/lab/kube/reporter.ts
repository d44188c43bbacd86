import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../errors.ts";
import { type KubeApi, paths, statusOf } from "./api.ts";
import type { ApiPod } from "./objects.ts";
import { startProblems } from "./status.ts";

/** Delay before the nth attempt in a row (counted from 1), ms. */
const pauseAfter = (failures: number): number => Math.min(250 * 2 ** failures, 10_000);

export interface ReporterOptions {
  api: KubeApi;
  /** Current pod and status; undefined if there is nothing to report. */
  look: (uid: string) => { raw: ApiPod; status: Record<string, unknown> } | undefined;
  /** ms since the epoch. */
  now: () => number;
}

interface Line {
  sent: Record<string, unknown> | undefined;
  busy: boolean;
  again: boolean;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  trouble: string | undefined;
  told: Set<string>;
}

/**
 * Keeps the status of pods in the API equal to the lab's: one write at a time for each pod, repeated until it succeeds.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #lines = new Map<string, Line>();
  #closed = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  get troubles(): string[] {
    return [...this.#lines.values()].flatMap((line) => line.trouble ?? []);
  }

  /** Marks a pod that may have changed. */
  mark(uid: string): void {
    if (this.#closed) return;
    const line = this.#lines.get(uid) ?? newLine();
    this.#lines.set(uid, line);
    if (line.busy) line.again = true;
    else if (line.timer === undefined) void this.#run(uid, line);
  }

  /** Forgets removed pods. */
  keep(uids: ReadonlySet<string>): void {
    for (const [uid, line] of this.#lines) {
      if (uids.has(uid)) continue;
      clearTimeout(line.timer);
      this.#lines.delete(uid);
    }
  }

  close(): void {
    this.#closed = true;
    this.keep(new Set());
  }

  async #run(uid: string, line: Line): Promise<void> {
    line.busy = true;
    do {
      line.again = false;
      await this.#report(uid, line);
    } while (line.again && !this.#closed && line.timer === undefined);
    line.busy = false;
  }

  async #report(uid: string, line: Line): Promise<void> {
    const found = this.#options.look(uid);
    if (found === undefined || isDeepStrictEqual(comparable(found.status), line.sent)) return;
    const { namespace = "default", name } = found.raw.metadata;
    try {
      await this.#options.api.patch(`${paths.pod(namespace, name)}/status`, {
        metadata: { uid },
        status: found.status,
      });
      line.sent = comparable(found.status);
      line.failures = 0;
      line.trouble = undefined;
      await this.#tell(found.raw, found.status, line);
    } catch (error) {
      const status = statusOf(error);
      if (status === 404 || status === 409) return; // There is no such pod, or another of that name; the watch will tell.
      line.trouble = `report pod ${namespace}/${name}: ${messageOf(error)}`;
      if (this.#closed || !this.#lines.has(uid)) return;
      line.timer = setTimeout(
        () => {
          line.timer = undefined;
          this.mark(uid);
        },
        pauseAfter(line.failures++),
      );
    }
  }

  /** Creates one Event for each reason why a container cannot be started. */
  async #tell(raw: ApiPod, status: Record<string, unknown>, line: Line): Promise<void> {
    for (const { reason, message } of startProblems(status)) {
      const key = `${reason} ${message}`;
      if (line.told.has(key)) continue;
      line.told.add(key);
      await this.#options.api.post(
        paths.events(raw.metadata.namespace ?? "default"),
        this.#event(raw, reason, message),
      );
    }
  }

  #event({ metadata }: ApiPod, reason: string, message: string): object {
    const { namespace = "default", name, uid } = metadata;
    const time = new Date(this.#options.now()).toISOString().replace(/\.\d+Z$/, "Z");
    return {
      ...{ apiVersion: "v1", kind: "Event", metadata: { namespace, generateName: `${name.slice(0, 200)}.` } },
      ...{
        involvedObject: { apiVersion: "v1", kind: "Pod", namespace, name, uid },
        reason,
        message: message.slice(0, 1024),
      },
      ...{ type: "Warning", source: { component: "weir-lab" }, firstTimestamp: time, lastTimestamp: time, count: 1 },
    };
  }
}

function newLine(): Line {
  return {
    ...{ sent: undefined, busy: false, again: false, failures: 0 },
    ...{ timer: undefined, trouble: undefined, told: new Set<string>() },
  };
}

/** A status without the timestamps that are set anew at each write. */
function comparable(status: Record<string, unknown>): Record<string, unknown> {
  const conditions = (status["conditions"] as readonly object[]).map((one) => ({ ...one, lastTransitionTime: null }));
  return { ...status, startTime: null, conditions };
}
