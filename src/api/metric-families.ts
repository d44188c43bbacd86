import { withoutId } from "../model/one-off.ts";
import { cumulated } from "../model/waits.ts";
import type { Backend } from "./backend.ts";

/** One value. `part` distinguishes counters with the same labels, which may begin and end during the pod's life. */
export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
  part?: string | undefined;
}

/** Metrics of one name. `help` is a sentence. */
export interface Family {
  name: string;
  type: "gauge" | "counter";
  help: string;
  labels: readonly string[];
  read(scrape: Scrape): Promise<readonly Sample[]>;
}

/** The lists from which families are read. */
export type Scrape = Pick<
  Backend,
  "status" | "problems" | "pods" | "limits" | "impairments" | "programs" | "drops" | "ports" | "owners"
>;

const DIRECTED = ["namespace", "pod", "direction"];
const RULED = [...DIRECTED, "source"];

type Counts<Item> = { [Field in keyof Item]: Item[Field] extends number ? Field : never }[keyof Item] & string;

/** Families of counters of one list's items: `help` by field, which is the last part of the name. */
function counted<Item>(
  prefix: string,
  labels: readonly string[],
  list: (scrape: Scrape) => Promise<readonly Item[]>,
  place: (item: Item) => Omit<Sample, "value">,
  help: Readonly<Partial<Record<Counts<Item>, string>>>,
): Family[] {
  return (Object.entries(help) as [Counts<Item>, string][]).map(([field, sentence]) => ({
    name: `${prefix}_${field}_total`,
    type: "counter",
    help: sentence,
    labels,
    read: async (scrape) => (await list(scrape)).map((item) => ({ ...place(item), value: item[field] as number })),
  }));
}

interface OfRule {
  namespace: string;
  pod: string;
  direction: string;
  source: string;
}

/** Labels of a rule. A pod's one-offs are one series: each has its own name, and the number of series would be unbounded. */
function ruled({ namespace, pod, direction, source }: OfRule): Omit<Sample, "value"> {
  const stable = withoutId(source, { namespace, pod });
  return { labels: { namespace, pod, direction, source: stable }, ...(stable !== source && { part: source }) };
}

const LIMITS = {
  configured: "Configured layer-3 rate of a pod's limit.",
  effective: "Enforced layer-3 rate of a pod's limit; absent while the limit is not enforced.",
  measured: "Rate at layer 3 in the last busy second under a limit.",
} as const;

const limits = (["configured", "effective", "measured"] as const).map(
  (field): Family => ({
    name: `weir_limit_${field}_bytes_per_second`,
    type: "gauge",
    help: LIMITS[field],
    labels: DIRECTED,
    read: async (scrape) =>
      (await scrape.limits()).flatMap(({ namespace, pod, direction, overruledBy, [field]: rate }) =>
        rate === null || direction === null || overruledBy !== undefined
          ? []
          : [{ labels: { namespace, pod, direction }, value: rate / 8 }],
      ),
  }),
);

type Limit = Awaited<ReturnType<Scrape["limits"]>>[number];

/** One sample for each limit in the datapath, from any of its rules. */
async function ofLimits<T>(scrape: Scrape, read: (limit: Limit) => T | null): Promise<{ limit: Limit; value: T }[]> {
  return (await scrape.limits()).flatMap((limit) => {
    const value = limit.direction === null || limit.overruledBy !== undefined ? null : read(limit);
    return value === null ? [] : [{ limit, value }];
  });
}

const place = ({ namespace, pod, direction }: Limit) => ({ namespace, pod, direction: direction ?? "" });
/** A limit has one counter, which may begin and end during the pod's life. */
const part = "limit";

const counter = (name: string, help: string, read: (limit: Limit) => number | null): Family => ({
  name: `weir_limit_${name}_total`,
  type: "counter",
  help,
  labels: DIRECTED,
  read: async (scrape) =>
    (await ofLimits(scrape, read)).map(({ limit, value }) => ({ labels: place(limit), value, part })),
});

const gauge = (name: string, help: string, read: (limit: Limit) => number | null): Family => ({
  name: `weir_limit_${name}`,
  type: "gauge",
  help,
  labels: DIRECTED,
  read: async (scrape) => (await ofLimits(scrape, read)).map(({ limit, value }) => ({ labels: place(limit), value })),
});

const AMOUNTS = [
  { unit: "packets", subject: "Packets" },
  { unit: "bytes", subject: "Bytes at layer 3" },
] as const;

const limitCounters: readonly Family[] = [
  ...AMOUNTS.flatMap(({ unit, subject }) => [
    counter(`received_${unit}`, `${subject} that arrived at a limit.`, ({ received }) => received?.[unit] ?? null),
    counter(`sent_${unit}`, `${subject} that a limit passed.`, ({ sent }) => sent?.[unit] ?? null),
    counter(`dropped_${unit}`, `${subject} that a limit dropped at arrival.`, ({ dropped }) => dropped?.[unit] ?? null),
    gauge(`queued_${unit}`, `${subject} that wait in a limit now.`, ({ queued }) => queued?.[unit] ?? null),
  ]),
  counter("marked_packets", "Packets that a limit marked with congestion experienced.", ({ marked }) => marked),
  counter(
    "delayed_packets",
    "Packets that had waited in a limit for a millisecond or longer.",
    ({ delayed }) => delayed,
  ),
  {
    // not a histogram: there is no counter of the sum of waiting times
    name: "weir_limit_waited_packets_total",
    type: "counter",
    help: "Packets that a limit passed after waiting fewer seconds than this, cumulative as in a histogram.",
    labels: [...DIRECTED, "within"],
    read: async (scrape) =>
      (await ofLimits(scrape, ({ waits }) => waits && cumulated(waits))).flatMap(({ limit, value }) =>
        value.map(({ within, packets }) => ({
          labels: { ...place(limit), within: within === Number.POSITIVE_INFINITY ? "+Inf" : `${within}` },
          value: packets,
          part,
        })),
      ),
  },
];

const impairments: readonly Family[] = [
  ...counted("weir_impairment", RULED, (scrape) => scrape.impairments(), ruled, {
    packets: "Packets that matched an impairment.",
    lost: "Packets that an impairment lost.",
    duplicated: "Packets that an impairment duplicated.",
    corrupted: "Packets in which an impairment changed a bit.",
    reordered: "Packets that an impairment did not delay, so that they overtook others.",
    delayed: "Packets that an impairment delayed.",
  }),
  {
    name: "weir_impairment_active",
    type: "gauge",
    help: "Impairments in force.",
    labels: RULED,
    read: async (scrape) => {
      const items = await scrape.impairments();
      return sums(items.map((item) => ({ ...ruled(item), value: item.state === "active" ? 1 : 0 })));
    },
  },
];

const programs = counted(
  "weir_program",
  [...RULED, "program"],
  (scrape) => scrape.programs(),
  (item) => {
    const { labels, part } = ruled(item);
    return { labels: { ...labels, program: item.program }, part };
  },
  { packets: "Packets that a user's program saw.", dropped: "Packets that a user's program dropped." },
);

const UNITS = [
  { unit: "packets", drops: "drops", subject: "Packets" },
  { unit: "bytes", drops: "drop_bytes", subject: "Bytes at layer 2" },
] as const;

const drops = UNITS.flatMap(({ unit, drops: name, subject }): Family[] => [
  {
    name: `weir_${name}_total`,
    type: "counter",
    help: `${subject} that the node dropped, including those of removed pods.`,
    labels: ["reason"],
    read: async (scrape) =>
      sums((await scrape.drops()).map(({ reason, [unit]: value }) => ({ labels: { reason }, value }))),
  },
  {
    name: `weir_pod_${name}_total`,
    type: "counter",
    help: `${subject} to a pod (ingress) or from it (egress) that were dropped.`,
    labels: [...DIRECTED, "reason"],
    read: async (scrape) => {
      const podOf = await podsByPort(scrape);
      return (await scrape.drops()).flatMap(({ port, direction, reason, [unit]: value }) => {
        const pod = podOf(port);
        return pod && direction ? [{ labels: { ...pod, direction, reason }, value, part: port }] : [];
      });
    },
  },
]);

const ports = UNITS.flatMap(({ unit, subject }): Family[] => [
  {
    name: `weir_pod_${unit}_total`,
    type: "counter",
    help: `${subject} that a pod sent (egress) or received (ingress).`,
    labels: DIRECTED,
    read: async (scrape) => {
      const podOf = await podsByPort(scrape);
      return (await scrape.ports()).flatMap(({ name: part, received, sent }) => {
        const pod = podOf(part);
        if (!pod) return [];
        const sample = (direction: string, value: number) => ({ labels: { ...pod, direction }, value, part });
        return [sample("egress", received[unit]), sample("ingress", sent[unit])];
      });
    },
  },
  {
    name: `weir_port_${unit}_total`,
    type: "counter",
    help: `${subject} that the router received from or sent to a port of the node itself.`,
    labels: ["port", "direction"],
    read: async (scrape) => {
      const podOf = await podsByPort(scrape);
      const own = (await scrape.ports()).filter(({ name }) => !podOf(name));
      return own.flatMap(({ name: port, received, sent }) => [
        { labels: { port, direction: "received" }, value: received[unit] },
        { labels: { port, direction: "sent" }, value: sent[unit] },
      ]);
    },
  },
]);

const STATES = ["starting", "ready", "degraded"];

/** Everything that is read from an agent's lists. Series are bounded by pods, their rules and the drop reasons. */
export const families: readonly Family[] = [
  {
    name: "weir_agent_state",
    type: "gauge",
    help: "Whether the agent is in this state (1) or not (0).",
    labels: ["state"],
    read: async (scrape) => {
      const { state: now } = await scrape.status();
      return STATES.map((state) => ({ labels: { state }, value: state === now ? 1 : 0 }));
    },
  },
  {
    name: "weir_pods",
    type: "gauge",
    help: "Pods of the node whose network is in force.",
    labels: [],
    read: async (scrape) => [{ labels: {}, value: (await scrape.status()).pods }],
  },
  {
    name: "weir_problems",
    type: "gauge",
    help: "Objects and items that were refused or could not be enforced.",
    labels: [],
    read: async (scrape) => [{ labels: {}, value: (await scrape.problems()).length }],
  },
  ...limits,
  ...limitCounters,
  ...impairments,
  ...programs,
  ...drops,
  ...ports,
];

/** Names the pod of a port by the port's last part; undefined if it is the node's own. */
async function podsByPort(scrape: Scrape): Promise<(port: string) => { namespace: string; pod: string } | undefined> {
  const owners = await scrape.owners();
  return (port) => {
    const [namespace, pod] = owners.get(port.replace(/^.*:/, ""))?.split("/") ?? [];
    return namespace && pod ? { namespace, pod } : undefined;
  };
}

/** One sample for each set of labels. */
function sums(samples: readonly Sample[]): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const { labels, value } of samples) {
    const key = JSON.stringify(labels);
    byLabels.set(key, { labels, value: value + (byLabels.get(key)?.value ?? 0) });
  }
  return [...byLabels.values()];
}
