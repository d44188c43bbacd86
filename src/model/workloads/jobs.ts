import { nextTime, parseSchedule } from "../cron.ts";
import type { CronJob, Job, JobSpec, Pod, PodTemplate } from "../objects.ts";
import { generatedName, templateHash } from "./identity.ts";
import { podOf } from "./pod.ts";

/** How pods ended, by uid. */
export type Finished = ReadonlyMap<string, "Succeeded" | "Failed">;

export interface JobState {
  pods: readonly Pod[];
  state: "active" | "complete" | "failed";
}

interface JobRun extends JobSpec {
  /** The job's own name; its owner's differs for a CronJob. */
  name: string;
  owner: Pick<Job | CronJob, "kind" | "metadata">;
  template: PodTemplate;
}

/**
 * The pods that a job has by now: at most `parallelism` that run, until `completions` have succeeded or more than
 * `backoffLimit` have failed. Those that ended stay in the list.
 */
export function jobPods(run: JobRun, finished: Finished): JobState {
  return run.indexed ? indexedPods(run, finished) : plainPods(run, finished);
}

function makePod(run: JobRun, taken: Set<string>, attempt: number, index?: number): Pod {
  const { name, owner, template } = run;
  const base = index === undefined ? name : `${name}-${index}`;
  const { namespace } = owner.metadata;
  const identity = ["Job", namespace, name, templateHash(template), attempt, index ?? null];
  const labels = { "batch.kubernetes.io/job-name": name, "job-name": name };
  const podName = generatedName(base, taken, ...identity);
  const ordinal = `${name}/${attempt}`;
  if (index === undefined) return podOf(owner, template, { name: podName, ordinal, labels });
  return podOf(owner, template, {
    name: podName,
    ordinal: `${ordinal}/${index}`,
    labels: { ...labels, "batch.kubernetes.io/job-completion-index": String(index) },
    annotations: { "batch.kubernetes.io/job-completion-index": String(index) },
    env: [{ name: "JOB_COMPLETION_INDEX", value: String(index) }],
  });
}

/** Counts a job's pods by how they ended. */
class Tally {
  readonly pods: Pod[] = [];
  succeeded = 0;
  failed = 0;
  active = 0;
  readonly #run: JobRun;
  readonly #finished: Finished;

  constructor(run: JobRun, finished: Finished) {
    this.#run = run;
    this.#finished = finished;
  }

  /** May a further pod be started? */
  get open(): boolean {
    return this.active < this.#run.parallelism && this.failed <= this.#run.backoffLimit;
  }

  /** Adds a pod and says how it ended. A suspended job has only the pods that ended. */
  add(pod: Pod): "Succeeded" | "Failed" | "active" | "suspended" {
    const ended = this.#finished.get(pod.metadata.uid ?? "");
    if (this.#run.suspend && !ended) return "suspended";
    this.pods.push(pod);
    if (ended === "Succeeded") this.succeeded += 1;
    else if (ended === "Failed") this.failed += 1;
    else this.active += 1;
    return ended ?? "active";
  }

  state(wanted: number): JobState {
    const { pods, succeeded, failed } = this;
    if (succeeded >= wanted) return { pods, state: "complete" };
    return { pods, state: failed > this.#run.backoffLimit ? "failed" : "active" };
  }
}

function plainPods(run: JobRun, finished: Finished): JobState {
  const wanted = run.completions ?? run.parallelism;
  const taken = new Set<string>();
  const tally = new Tally(run, finished);
  for (let attempt = 0; tally.open && tally.succeeded + tally.active < wanted; attempt++) {
    if (tally.add(makePod(run, taken, attempt)) === "suspended") break;
  }
  return tally.state(wanted);
}

function indexedPods(run: JobRun, finished: Finished): JobState {
  const wanted = run.completions ?? 0;
  const taken = new Set<string>();
  const tally = new Tally(run, finished);
  for (let index = 0; index < wanted && tally.open; index++) {
    let attempt = 0;
    while (tally.open && tally.add(makePod(run, taken, attempt, index)) === "Failed") attempt += 1;
  }
  return tally.state(wanted);
}

export interface CronInput {
  finished: Finished;
  /** uids of pods that exist already. */
  known: ReadonlySet<string>;
  /** ms since the epoch: when the cron job was first seen, and now. */
  since: number;
  now: number;
}

/** How far back runs are looked for, ms; the first window with enough of them counts. */
const WINDOWS = [2 * 3_600_000, 48 * 3_600_000, 60 * 86_400_000, Number.POSITIVE_INFINITY];
const MOST_RUNS = 100;

/**
 * The pods of a cron job's runs, as its controller would have them: a run that is due starts (only the latest, if
 * several were missed), runs that started go on, the last `history` that ended are kept.
 * `next` is the time of the next run, ms since the epoch.
 */
export function cronPods(cron: CronJob, input: CronInput): { pods: readonly Pod[]; next?: number | undefined } {
  const schedule = parseSchedule(cron.schedule);
  if (!schedule.ok) return { pods: [] };
  const next = (after: number): number | undefined =>
    nextTime(schedule.value, after, { since: input.since, timeZone: cron.timeZone });
  const due = dueTimes(input, next);
  const runs = due.map((time) => ({
    ...cron.job,
    name: `${cron.metadata.name}-${minuteOf(time)}`,
    owner: cron,
    template: cron.template,
  }));
  const begun: JobState[] = [];
  for (const run of runs.slice(0, -1)) {
    const job = jobPods(run, input.finished);
    if (hasBegun(job, input)) begun.push(job);
  }
  const last = runs.at(-1);
  if (last) addLatest(cron, begun, jobPods(last, input.finished), input);
  const active = begun.filter((job) => job.state === "active");
  const over = begun.filter((job) => job.state !== "active");
  const ended = over.slice(Math.max(0, over.length - cron.history));
  const wakeAt = cron.suspend ? undefined : next(input.now);
  return { pods: [...ended, ...active].flatMap((job) => job.pods), next: wakeAt };
}

function addLatest(cron: CronJob, begun: JobState[], latest: JobState, input: CronInput): void {
  const busy = begun.some((job) => job.state === "active");
  if (!hasBegun(latest, input)) {
    if (cron.suspend || (busy && cron.concurrencyPolicy === "Forbid")) return;
    if (cron.concurrencyPolicy === "Replace")
      begun.splice(0, begun.length, ...begun.filter((job) => job.state !== "active"));
  }
  begun.push(latest);
}

function hasBegun({ pods }: JobState, { finished, known }: CronInput): boolean {
  return pods.some(({ metadata: { uid = "" } }) => finished.has(uid) || known.has(uid));
}

const minuteOf = (time: number): number => Math.floor(time / 60_000);

function dueTimes({ since, now }: CronInput, next: (after: number) => number | undefined): number[] {
  let times: number[] = [];
  for (const window of WINDOWS) {
    const from = Math.max(since, now - window);
    times = [];
    for (let time = next(from); time !== undefined && time <= now; time = next(time)) {
      // A run's name is its minute: of several in one, Kubernetes starts the first.
      if (minuteOf(time) !== minuteOf(times.at(-1) ?? Number.NaN)) times.push(time);
    }
    if (times.length >= MOST_RUNS || from === since) break;
  }
  return times.slice(-MOST_RUNS);
}
