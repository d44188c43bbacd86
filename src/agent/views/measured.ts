import type { LimitRule } from "../../model/limits.ts";
import { AGENT, type Agent } from "../agent.ts";
import type { ImpairReadings } from "./impairments.ts";
import { countedBy, readUse } from "./limit-use.ts";
import type { LimitReadings } from "./limits.ts";
import type { ProgramReadings } from "./programs.ts";

/** What a pod's port stands on: without it no rule of the pod acts. A host-network pod's is on a device of the node's. */
function placeOf(agent: Agent, port: string): string[] {
  const host = agent.view.state.hosts.find(({ id }) => id === port);
  const own = host ? [`device ${host.device}`, "table weir_cgroups"] : [`device ${port}`];
  return ["panel", AGENT, ...own];
}

/** What the datapath enforces and has measured of each limit. */
export function limitReadings(agent: Agent): LimitReadings {
  const { desired, failures } = agent.view;
  const { panel } = agent.parts.datapath;
  const shaped = new Map(desired.shapers.map((shaper) => [shaper.owner, shaper.rate]));
  const instanceOf = (device: string, { direction }: LimitRule): string => `limit:${device}:${direction}`;
  const idOf = (device: string, rule: LimitRule) => panel.names.find("instance", instanceOf(device, rule));
  return {
    enforced(device, rule) {
      const instance = instanceOf(device, rule);
      const rate = shaped.get(instance);
      if (rate === undefined) return { reason: "no shaper is planned for it" };
      const about = new Set([`shaper ${instance}`, "shapers", "table weir_limits", ...placeOf(agent, device)]);
      const failure = failures.find((one) => about.has(one.object));
      return failure ? { reason: failure.message } : { rate };
    },
    measured(device, rule) {
      const id = idOf(device, rule);
      const use = (id === undefined ? undefined : readUse(panel, id)) ?? {};
      const [rate, ended] = [Number(use["rate"] ?? 0), Number(use["ended"] ?? 0)];
      // the kernel's ktime is the clock that node counts with
      return rate > 0 ? { rate, age: Math.max(0, (Number(process.hrtime.bigint()) - ended) / 1e9) } : undefined;
    },
    counted(device, rule) {
      const id = idOf(device, rule);
      return id === undefined ? undefined : countedBy(panel, id, shaped.get(instanceOf(device, rule)) ?? rule.rate);
    },
  };
}

/** The mean hold in seconds: what was asked of the device, and how late it was. */
function meanDelay(count: (name: string) => number): number | null {
  const [delayed, released] = [count("delayed"), count("released")];
  if (delayed === 0) return null;
  return (count("waited") / delayed + (released > 0 ? count("late") / released : 0)) / 1e9;
}

/** What the datapath did for each impairment. */
export function impairReadings(agent: Agent): ImpairReadings {
  const { failures } = agent.view;
  const { panel, leases } = agent.parts.datapath;
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
    fault(device) {
      const tables = ["table weir_impairs", "table weir_impair_peers", "leases"];
      const about = new Set([...tables, ...placeOf(agent, device)]);
      return failures.find((one) => about.has(one.object))?.message;
    },
  };
}

/** What the datapath counted of each user's program. */
export function programReadings(agent: Agent): ProgramReadings {
  const { failures } = agent.view;
  const { panel } = agent.parts.datapath;
  const uses = panel.tables.get("weir_custom_use");
  return {
    use(instance) {
      const id = panel.names.find("instance", instance);
      const row = id === undefined ? undefined : uses?.lookup(uses.key.encode({ instance: id }));
      const fields = row && uses ? uses.value.decode(row) : {};
      const count = (name: string): number => Number(fields[name] ?? 0);
      return { packets: count("packets"), bytes: count("bytes"), dropped: count("dropped"), other: count("other") };
    },
    fault(device, instance) {
      const about = new Set([`program ${instance}`, "programs", ...placeOf(agent, device)]);
      return failures.find((one) => about.has(one.object))?.message;
    },
  };
}
