import { limitInstance } from "../../functions/limit/limit.ts";
import type { LimitRule } from "../../model/limits.ts";
import type { PodPort } from "../../model/node-context.ts";
import type { Agent } from "../agent.ts";
import { impairmentClaim, limitClaim, networkClaims, programClaim } from "./claims.ts";
import type { ImpairReadings } from "./impairments.ts";
import { countedBy, readUse } from "./limit-use.ts";
import type { LimitReadings } from "./limits.ts";
import type { ProgramReadings } from "./programs.ts";

/** Reads limits from the datapath. */
export function limitReadings(agent: Agent): LimitReadings {
  const { shapers } = agent.planner.composer;
  const { panel } = agent.parts;
  const instanceOf = ({ id }: PodPort, { direction }: LimitRule): string => limitInstance(id, direction);
  const rateOf = (at: PodPort, rule: LimitRule) => shapers.get(instanceOf(at, rule))?.item.rate;
  const idOf = (at: PodPort, rule: LimitRule) => panel.names.find("instance", instanceOf(at, rule));
  return {
    enforced(at, rule) {
      const rate = rateOf(at, rule);
      if (rate === undefined) return { reason: "no shaper is planned for it" };
      const reason = agent.standing.faultOf(limitClaim(at, rule.direction), ...networkClaims(at.key));
      return reason === undefined ? { rate } : { reason };
    },
    measured(at, rule) {
      const id = idOf(at, rule);
      const use = (id === undefined ? undefined : readUse(panel, id)) ?? {};
      const [rate, ended] = [Number(use["rate"] ?? 0), Number(use["ended"] ?? 0)];
      // hrtime is the kernel's ktime
      return rate > 0 ? { rate, age: Math.max(0, (Number(process.hrtime.bigint()) - ended) / 1e9) } : undefined;
    },
    counted(at, rule) {
      const id = idOf(at, rule);
      return id === undefined ? undefined : countedBy(panel, id, rateOf(at, rule) ?? rule.rate);
    },
  };
}

/** Mean time that packets were held, seconds: the requested delay plus the delay of the device itself. */
function meanDelay(count: (name: string) => number): number | null {
  const [delayed, released] = [count("delayed"), count("released")];
  if (delayed === 0) return null;
  return (count("waited") / delayed + (released > 0 ? count("late") / released : 0)) / 1e9;
}

/** Reads impairments from the datapath. */
export function impairReadings(agent: Agent): ImpairReadings {
  const { panel } = agent.parts;
  const { leases } = agent.parts.datapath;
  const uses = panel.tables.get("weir_impair_use");
  const idOf = (instance: string): number | undefined => panel.names.find("instance", instance);
  return {
    use(instance) {
      const id = idOf(instance);
      const row = id === undefined ? undefined : uses?.lookup(uses.key.encode({ instance: id }));
      const fields = row && uses ? uses.value.decode(row) : {};
      const count = (name: string): number => Number(fields[name] ?? 0);
      return {
        packets: count("packets"),
        lost: count("lost"),
        duplicated: count("duplicated"),
        corrupted: count("corrupted"),
        reordered: count("reordered"),
        delayed: count("delayed"),
        bursts: count("bursts"),
        spared: count("spared"),
        meanDelay: meanDelay(count),
      };
    },
    remaining(instance) {
      const id = idOf(instance);
      return id === undefined ? undefined : leases.remaining(id);
    },
    fault: (at, { direction, id }) =>
      agent.standing.faultOf(impairmentClaim(at, direction, id), ...networkClaims(at.key)),
  };
}

/** Reads users' programs from the datapath. */
export function programReadings(agent: Agent): ProgramReadings {
  const { panel } = agent.parts;
  const uses = panel.tables.get("weir_custom_use");
  return {
    use(instance) {
      const id = panel.names.find("instance", instance);
      const row = id === undefined ? undefined : uses?.lookup(uses.key.encode({ instance: id }));
      const fields = row && uses ? uses.value.decode(row) : {};
      const count = (name: string): number => Number(fields[name] ?? 0);
      return { packets: count("packets"), bytes: count("bytes"), dropped: count("dropped"), other: count("other") };
    },
    fault: (at, { direction }) => agent.standing.faultOf(programClaim(at, direction), ...networkClaims(at.key)),
  };
}
