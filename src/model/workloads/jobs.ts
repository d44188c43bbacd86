import { nextTime, parseSchedule } from "../cron.ts";
import type { CronJob, Job, JobSpec, Pod, PodTemplate } from "../objects.ts";
import { generatedName, templateHash } from "./identity.ts";
import { podOf } from "./pod.ts";

/** How pods ended, by uid. */
export type Finished = ReadonlyMap<string, "Succeeded" | "Failed">;

/** State of a job that is kept between calls. A finished job stays finished, whatever happens to its pods. */
export interface JobMemory {
  /** When it began, ms since the epoch; undefined while it is suspended. */
  since?: number | undefined;
  over?: "complete" | "failed" | undefined;
  /** The reason of the failure, as Kubernetes names it. */
  reason?: string | undefined;
}
/** By `jobKey`. */
export type JobMemories = ReadonlyMap<string, JobMemory>;

/** Status of the jobs' pods. */
export interface JobInput {
  finished: Finished;
  /** Number of container restarts of a pod, by its uid. */
  restarts?: ReadonlyMap<string, number> | undefined;
  memories?: JobMemories | undefined;
  /** Current time, ms since the epoch; without it no deadline passes. */
  now?: number | undefined;
}

export interface JobState {
  pods: readonly Pod[];
  state: "active" | "complete" | "failed";
  key: string;
  memory: JobMemory;
  /** When its deadline passes, ms since the epoch. */
  deadline?: number | undefined;
}

interface JobRun extends JobSpec {
  /** The job's own name. A CronJob's owner name differs from it. */
  name: string;
  owner: Pick<Job | CronJob, "kind" | "metadata">;
  template: PodTemplate;
}

function jobKey({ owner, name, template }: JobRun): string {
  return `${owner.kind}/${owner.metadata.namespace}/${name}/${templateHash(template)}`;
}

/**
 * The pods of a job: at most `parallelism` active ones, until `completions` have succeeded, more than `backoffLimit`
 * have failed, or the deadline has passed. Ended pods stay in the list.
 */
export function jobPods(run: JobRun, input: JobInput): JobState {
  const key = jobKey(run);
  const known = input.memories?.get(key) ?? {};
  if (known.over !== undefined) return { ...ended(run, input.finished), state: known.over, key, memory: known };
  const since = run.suspend ? undefined : (known.since ?? input.now);
  const deadline = deadlineOf(run, since);
  const now = count(run, input.finished);
  const reason = now.state === "complete" ? undefined : failure(run, now, { ...input, deadline });
  if (reason !== undefined) {
    return { ...ended(run, input.finished), state: "failed", key, memory: { since, over: "failed", reason } };
  }
  const over = now.state === "complete" ? ({ over: "complete" } as const) : {};
  return { ...now, key, memory: { since, ...over }, ...(over.over === undefined && { deadline }) };
}

function deadlineOf({ activeDeadlineSeconds }: JobRun, since: number | undefined): number | undefined {
  return activeDeadlineSeconds === undefined || since === undefined ? undefined : since + activeDeadlineSeconds * 1000;
}

type Counted = Pick<JobState, "pods" | "state">;

/** Why a job has failed; undefined if it has not. */
function failure(run: JobRun, { pods, state }: Counted, input: JobInput & { deadline: number | undefined }) {
  const { finished, restarts, deadline, now } = input;
  if (state === "failed") return "BackoffLimitExceeded";
  if (deadline !== undefined && now !== undefined && now >= deadline) return "DeadlineExceeded";
  if (run.template.spec.restartPolicy !== "OnFailure") return undefined;
  // With this restart policy pods restart their containers themselves, so restarts are counted.
  const active = pods.map(({ metadata }) => metadata.uid ?? "").filter((uid) => !finished.has(uid));
  const again = active.reduce((sum, uid) => sum + (restarts?.get(uid) ?? 0), 0);
  return again > 0 && again >= run.backoffLimit ? "BackoffLimitExceeded" : undefined;
}

function count(run: JobRun, finished: Finished): Counted {
  return run.indexed ? indexedPods(run, finished) : plainPods(run, finished);
}

/** The ended pods of a job that gets no further pods. */
function ended(run: JobRun, finished: Finished): Pick<Counted, "pods"> {
  return count({ ...run, suspend: true, backoffLimit: Number.POSITIVE_INFINITY }, finished);
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

  /** True if another pod may be started. */
  get open(): boolean {
    return this.active < this.#run.parallelism && this.failed <= this.#run.backoffLimit;
  }

  /** Adds a pod and returns how it ended. A suspended job has only its ended pods. */
  add(pod: Pod): "Succeeded" | "Failed" | "active" | "suspended" {
    const ended = this.#finished.get(pod.metadata.uid ?? "");
    if (this.#run.suspend && !ended) return "suspended";
    this.pods.push(pod);
    if (ended === "Succeeded") this.succeeded += 1;
    else if (ended === "Failed") this.failed += 1;
    else this.active += 1;
    return ended ?? "active";
  }

  state(wanted: number): Counted {
    const { pods, succeeded, failed } = this;
    if (succeeded >= wanted) return { pods, state: "complete" };
    return { pods, state: failed > this.#run.backoffLimit ? "failed" : "active" };
  }
}

function plainPods(run: JobRun, finished: Finished): Counted {
  const wanted = run.completions ?? run.parallelism;
  const taken = new Set<string>();
  const tally = new Tally(run, finished);
  for (let attempt = 0; tally.open && tally.succeeded + tally.active < wanted; attempt++) {
    if (tally.add(makePod(run, taken, attempt)) === "suspended") break;
  }
  return tally.state(wanted);
}

function indexedPods(run: JobRun, finished: Finished): Counted {
  const wanted = run.completions ?? 0;
  const taken = new Set<string>();
  const tally = new Tally(run, finished);
  for (let index = 0; index < wanted && tally.open; index++) {
    let attempt = 0;
    while (tally.open && tally.add(makePod(run, taken, attempt, index)) === "Failed") attempt += 1;
  }
  return tally.state(wanted);
}

export interface CronInput extends JobInput {
  /** uids of pods that exist already. */
  known: ReadonlySet<string>;
  /** When the CronJob was first seen, and the current time; ms since the epoch. */
  since: number;
  now: number;
}

/** How far back missed runs are searched, ms. The first window with enough runs is used. */
const WINDOWS = [2 * 3_600_000, 48 * 3_600_000, 60 * 86_400_000, Number.POSITIVE_INFINITY];
const MOST_RUNS = 100;

/**
 * The pods of a CronJob's runs, as its controller would create them: a due run starts (only the latest if several were
 * missed), started runs go on, and the last `history` ended runs are kept. `next` is the time of the next run, ms since
 * the epoch.
 */
export function cronPods(cron: CronJob, input: CronInput): { jobs: readonly JobState[]; next?: number | undefined } {
  const schedule = parseSchedule(cron.schedule);
  if (!schedule.ok) return { jobs: [] };
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
    const job = jobPods(run, input);
    if (hasBegun(job, input)) begun.push(job);
  }
  const last = runs.at(-1);
  if (last) addLatest(cron, begun, jobPods(last, input), input);
  const active = begun.filter((job) => job.state === "active");
  const over = begun.filter((job) => job.state !== "active");
  const kept = over.length - cron.history;
  // Runs outside the history are remembered too, so that they do not start again.
  const ended = over.map((job, index) => (index < kept ? { ...job, pods: [] } : job));
  return { jobs: [...ended, ...active], next: cron.suspend ? undefined : next(input.now) };
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

function hasBegun({ pods, key }: JobState, { finished, known, memories }: CronInput): boolean {
  if (memories?.has(key)) return true;
  return pods.some(({ metadata: { uid = "" } }) => finished.has(uid) || known.has(uid));
}

const minuteOf = (time: number): number => Math.floor(time / 60_000);

function dueTimes({ since, now }: CronInput, next: (after: number) => number | undefined): number[] {
  let times: number[] = [];
  for (const window of WINDOWS) {
    const from = Math.max(since, now - window);
    times = [];
    for (let time = next(from); time !== undefined && time <= now; time = next(time)) {
      // A run is named by its minute. Of several runs in one minute, Kubernetes starts the first.
      if (minuteOf(time) !== minuteOf(times.at(-1) ?? Number.NaN)) times.push(time);
    }
    if (times.length >= MOST_RUNS || from === since) break;
  }
  return times.slice(-MOST_RUNS);
}
