import { type Loss, lossProbability } from "../model/impair.ts";

/** The measured property of a rule: the share of lost packets, or that its seed determines which ones. */
export type What = "uniform" | "exponential" | "burst" | "seed";

/** One rule in one direction. */
export interface Case {
  what: What;
  /** The rule's text, e.g. `uniform 2%`. */
  setting: string;
  loss: Loss;
  expected: number;
  direction: "ingress" | "egress";
  to: "near" | "far";
  family: 4 | 6;
}

const UNIFORM = [0.1, 1, 2, 5, 10, 20, 50];
const THRESHOLDS = [100, 200, 300, 400, 500];
/** Without losses in the good state runs are independent, so that their lengths can be tested exactly. */
const BURSTS = [
  { p: 0.01, r: 0.2, lossGood: 0, lossBad: 1 },
  { p: 0.002, r: 0.05, lossGood: 0, lossBad: 0.8 },
  { p: 0.001, r: 0.5, lossGood: 0, lossBad: 1 },
];
const SEEDED = 0.05;

const uniform = (probability: number): Loss => ({ model: "uniform", probability });
const percent = (value: number): string => `${Number((100 * value).toPrecision(6))}%`;

const settings: { what: What; setting: string; loss: Loss }[] = [
  ...UNIFORM.map((value) => ({
    what: "uniform" as const,
    setting: `uniform ${value}%`,
    loss: uniform(value / 100),
  })),
  ...THRESHOLDS.map((threshold) => ({
    what: "exponential" as const,
    setting: `exponential ${threshold}`,
    loss: { model: "exponential" as const, threshold },
  })),
  ...BURSTS.map((burst) => ({
    what: "burst" as const,
    setting: `burst p=${percent(burst.p)} r=${percent(burst.r)} bad=${percent(burst.lossBad)}`,
    loss: { model: "burst" as const, ...burst },
  })),
  { what: "seed", setting: `seed ${percent(SEEDED)}`, loss: uniform(SEEDED) },
];

/** A case's name and key, e.g. `uniform 2% egress across ipv6`. */
export function caseName({ setting, direction, to, family }: Omit<Case, "what" | "loss" | "expected">): string {
  return `${setting} ${direction} ${to === "near" ? "same" : "across"} ipv${family}`;
}

/** All cases, or with `quick` one for each direction, place and family; with words only those whose names contain all of them. */
export function cases(quick: boolean, only: readonly string[] = []): Case[] {
  const ways = (["egress", "ingress"] as const).flatMap((direction) =>
    (["near", "far"] as const).flatMap((to) => ([4, 6] as const).map((family) => ({ direction, to, family }))),
  );
  const all = settings.map((one) => ways.map((way) => ({ ...one, expected: lossProbability(one.loss), ...way })));
  const chosen = quick
    ? ways.map((_, i) => all[Math.floor(((i + 1) * all.length - 1) / ways.length)]?.[i])
    : all.flat();
  return chosen
    .filter((one) => one !== undefined)
    .filter((one) => only.every((word) => caseName(one).split(" ").includes(word)));
}

/** The manifest of a case's rule: an Impairment of one pod, which only matches the measured datagrams. */
export function manifest(
  { loss, direction }: Pick<Case, "loss" | "direction">,
  pod: string,
  port: number,
  seed?: number,
): string {
  return JSON.stringify({
    apiVersion: "weir.dev/v1alpha1",
    kind: "Impairment",
    metadata: { name: "measured", namespace: "default" },
    spec: {
      pod,
      direction,
      loss: written(loss),
      match: { ports: [{ protocol: "UDP", port }] },
      ...(seed === undefined ? {} : { seed }),
    },
  });
}

/** A loss as a field of an Impairment. */
function written(loss: Loss): string | object {
  if (loss.model === "uniform") return percent(loss.probability);
  if (loss.model === "exponential") return { exponential: { threshold: loss.threshold } };
  const { model: _, ...burst } = loss;
  return { burst: Object.fromEntries(Object.entries(burst).map(([key, value]) => [key, percent(value)])) };
}

/** Result of one case. Counts are from the pods' kernels. */
export interface LossSample extends Case {
  name: string;
  packets: number;
  sent: number;
  lost: number;
  low: number;
  high: number;
  /** p-value of the count: exact, by the binomial or the bursts' distribution. */
  p: number;
  /** Bursts: how often 1, 2, … consecutive packets were lost, and the p-value of their lengths. */
  runs?: number[];
  runsP?: number;
  /** Seeds: whether the same packets were lost the second time, and others with another seed. */
  repeats?: boolean;
  differs?: boolean;
  /** Packets that this machine's queues dropped meanwhile because of missing CPU time. */
  backlogDrops: number;
}
