import { binomialTest } from "../../model/statistics.ts";
import { rateText } from "../limit-case.ts";
import type { Finding } from "../report.ts";
import { type ChangeResult, type Datagrams, MOST, type Phase, type RuleName, VALUES } from "./change.ts";
import type { Load } from "./load.ts";

type Check = [text: string, verdict: Finding["verdict"]];
const holdsIf = (holds: boolean): Finding["verdict"] => (holds ? "holds" : "misses");

/** The finding of a case, with the worst verdict of its checks. */
export function judgeChange(result: ChangeResult): Finding {
  const { name: what, inForce, limit } = result;
  const late = inForce.some((ms) => ms === null || ms > MOST);
  const shown = inForce.map((ms) => (ms === null ? "never" : ms.toFixed(0))).join(", ");
  const checks: Check[] = [
    [`in force after ${shown} ms`, holdsIf(!late)],
    checkGap(result),
    ...checkEffect(result),
    ...checkDatagrams(result.datagrams),
    limit === null ? checkFree(result) : checkLimit(result, limit),
  ];
  const measured = checks.map(([text, verdict]) => (verdict === "misses" ? `${text} (misses)` : text)).join("; ");
  const verdicts = checks.map(([, verdict]) => verdict);
  const verdict = verdicts.find((one) => one === "misses") ?? verdicts.find((one) => one === "shown") ?? "holds";
  const rate = limit === null ? `≥ ${LEAST} of before` : `±${100 * TOLERANCE} %`;
  return { what, measured, target: `in force ≤ 1 s, no gap over 1 s, none lost but by rules, then ${rate}`, verdict };
}

/** Longest time between two readings of the sender, ms: they are 50 ms apart, more on a busy machine. */
const LOOK = 200;

/** No gap exceeds a second, unless the UDP sender did not send for as long. */
function checkGap({ gap, idle }: ChangeResult): Check {
  const text = `longest gap ${gap.toFixed(0)} ms`;
  if (gap <= MOST) return [text, "holds"];
  if (idle === null) return [text, "misses"];
  return [`${text}, of the sender ${idle.toFixed(0)} ms`, idle >= gap - LOOK ? "shown" : "misses"];
}

/** Probability that a correct build fails. */
const UNLIKELY = 1e-4;
/** Tolerated lateness of held packets: a fraction of the delay, and seconds. */
const LATE = { part: 0.05, fixed: 0.002 };

/** Checks the rule's counters against each of its values. */
function checkEffect({ rule, protocol, phases, enforced }: ChangeResult): Check[] {
  if (!enforced) return [[`${rule} not enforced on this kernel`, "shown"]];
  return phases.map((phase, i) => {
    const { packets, hits, wait } = phase;
    const value = VALUES[rule][i] ?? 0;
    const holds = packets > 0 && showsEffect(rule, protocol, phase, value);
    if (rule === "delay") return [wait === null ? "none held" : `held ${(1000 * wait).toFixed(1)} ms`, holdsIf(holds)];
    return [`${((100 * hits) / Math.max(1, packets)).toFixed(3)} % of ${packets} dropped`, holdsIf(holds)];
  });
}

function showsEffect(
  rule: RuleName,
  protocol: Load["protocol"],
  { packets, hits, wait }: Phase,
  value: number,
): boolean {
  if (rule === "loss") return binomialTest(hits, packets, value) > UNLIKELY;
  if (rule === "delay") return wait !== null && wait >= value && wait <= value * (1 + LATE.part) + LATE.fixed;
  if (rule === "mark-dscp") return hits === 0;
  // packets are counted in sequence; a dropped TCP packet stands for several on the wire
  return protocol === "tcp" || Math.abs(hits - packets / value) <= 2;
}

function checkDatagrams(datagrams: Datagrams | null): Check[] {
  if (!datagrams) return [];
  const { sent, received, dropped, lost, queued, backlogDrops } = datagrams;
  const missing = sent - received - dropped - lost - queued;
  const backlog = backlogDrops > 0 ? `, processors' backlogs dropped ${backlogDrops}` : "";
  const text = `${missing} of ${sent} missing${backlog}`;
  if (missing === 0) return [[text, holdsIf(sent > 0)]];
  return [[text, missing > 0 && missing <= backlogDrops ? "shown" : "misses"]];
}

const TOLERANCE = 0.02;
const LEAST = 0.9;
const percent = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(2)} %`;

/** Within ±2 % of the limit, or of the arrivals if the machine sent less; only shown if the load was too low before the change. */
function checkLimit({ before, after, offered }: ChangeResult, limit: number): Check {
  const error = (after ?? 0) / limit - 1;
  if (Math.abs(error) <= TOLERANCE) return [percent(error), "holds"];
  const came = offered === null ? "" : `, offered ${percent(offered / limit - 1)}`;
  const text = `${percent(error)}, before ${percent((before ?? 0) / limit - 1)}${came}`;
  const short = (value: number | null): boolean => value !== null && value < (1 - TOLERANCE) * limit;
  const asOffered = short(offered) && (after ?? 0) >= (1 - TOLERANCE) * (offered ?? 0);
  const asBefore = short(before) && (after ?? 0) >= LEAST * (before ?? 0);
  return [text, error < 0 && (asOffered || asBefore) ? "shown" : "misses"];
}

/** At least 0.9 of the rate before; only shown if the same load, started again, does not reach more. */
function checkFree({ before, after, anew }: ChangeResult): Check {
  const share = (after ?? 0) / (before || Number.POSITIVE_INFINITY);
  const text = `${share.toFixed(3)} of ${rateText(before ?? 0)}`;
  if (share >= LEAST) return [text, "holds"];
  if (anew === null) return [text, "misses"];
  return [`${text}, anew ${rateText(anew)}`, after !== null && after >= LEAST * anew ? "shown" : "misses"];
}

/** Whether a case's last rate must be compared with the same load, started again. */
export const needsAnew = ({ limit, before, after }: ChangeResult): boolean =>
  limit === null && (after ?? 0) < LEAST * (before ?? 0);
