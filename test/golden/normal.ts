import { NO_FQ } from "../../src/model/impair.ts";

/** Normalises an agent's answers: replaces what differs from run to run or between machines, field by field. */

export type Fields = Record<string, unknown>;
type List = { items: Fields[] };

const TIME = "2026-01-01T00:00:00.000Z";
/** Drop reasons that a test causes; others depend on packets that the kernel sends when a device comes up. */
const CAUSED = ["no_route"];
const NOTHING = { packets: 0, bytes: 0 };
/** Devices for which a machine may report that it does not steer flows. */
const QUEUE_ENDS = ["device weir_shape1", "device weir_delay1"];

/** Names of one run. */
export interface Known {
  /** The node's folder. */
  folder: string;
  /** Stable names of builds of users' programs; the real ones change with the compiler. */
  builds: ReadonlyMap<string, string>;
}

const kept = (value: unknown, shown: unknown): unknown => (value === null || value === undefined ? value : shown);
const counts = (item: Fields, names: readonly string[]): Fields =>
  Object.fromEntries(names.filter((name) => name in item).map((name) => [name, kept(item[name], 0)]));

function status(item: Fields): Fields {
  const observed = item["observed"] as Fields;
  return {
    ...item,
    ...{ abi: 0, kernel: "KERNEL", pid: 0, startedAt: TIME, problems: problems(item["problems"] as Fields[]) },
    observed: {
      ...{ ...observed, generation: 0, pending: 0, writes: 0, reconciledAt: kept(observed["reconciledAt"], TIME) },
      ...{ rows: Number(observed["rows"]) > 0 ? 1 : 0, resourceVersion: kept(observed["resourceVersion"], "VERSION") },
    },
  };
}

const AMOUNTS = ["received", "sent", "dropped", "queued", "lost"];
function limit(item: Fields): Fields {
  const amounts = Object.fromEntries(AMOUNTS.map((name) => [name, kept(item[name], NOTHING)]));
  const waits = kept(
    item["waits"],
    (item["waits"] as unknown[] | null)?.map(() => 0),
  );
  const measured = { measured: null, measuredAge: null, wait: { p50: null, p99: null } };
  return { ...item, ...amounts, ...counts(item, ["marked", "delayed"]), ...measured, waits };
}

const DEEDS = ["packets", "lost", "duplicated", "corrupted", "reordered", "delayed", "bursts", "spared"];
function impairment(item: Fields): Fields {
  const { remaining, effects } = item as { remaining: number | null; effects: Fields };
  const measured = { meanDelay: null, measuredLoss: null, lossLow: null, lossHigh: null };
  const left = { remaining: kept(remaining, Number(remaining) > 0 ? 1 : 0) };
  const isHeld = "delay" in effects || "pace" in effects;
  const held = isHeld ? { effective: "as this kernel can hold packets", state: "active", reason: null } : {};
  return { ...item, ...counts(item, DEEDS), ...measured, ...left, ...held };
}

function problems(items: readonly Fields[]): Fields[] {
  return items.filter(
    ({ object, message }) => !QUEUE_ENDS.includes(String(object)) && !String(message).includes(NO_FQ),
  );
}

const isDelay = (device: unknown): boolean => /^weir_delay\d$/.test(String(device));
function topology(document: Fields): Fields {
  const spec = document["spec"] as Record<string, Fields[]>;
  return {
    ...document,
    spec: {
      ...spec,
      links: spec["links"]?.filter(({ device }) => !isDelay(device)),
      rows: spec["rows"]?.map(row),
    },
  };
}

/** Whether packets can be delayed, and the cgroup's id in the kernel, depend on the machine. */
function row(item: Fields): Fields {
  const { table, key, value } = item as { table: string; key: Fields; value: Fields };
  if (table === "weir_cgroups") return { ...item, key: { ...key, id: 0 } };
  if (table !== "weir_impairs") return item;
  return { ...item, value: { ...value, device: value["delay"] === 0 && value["pace"] === 0 ? value["device"] : 0 } };
}

function doctor(item: Fields): Fields {
  const probes = (item["probes"] as Fields[]).map((probe) => ({ ...probe, available: true, hint: null }));
  return { ...item, kernel: "KERNEL", arch: "ARCH", ok: true, probes };
}

const each =
  (change: (item: Fields) => Fields) =>
  (list: Fields): Fields => ({ items: (list as List).items.map(change) });
const passed = (item: Fields): Fields => ({ ...item, received: NOTHING, sent: NOTHING });
const caused = ({ items }: List): Fields => ({
  items: items.filter(({ reason }) => CAUSED.includes(String(reason))).map((one) => ({ ...one, ...NOTHING })),
});

const ROUTES: Readonly<Record<string, (answer: Fields) => Fields>> = {
  status,
  doctor,
  topology,
  limits: each(limit),
  impairments: each(impairment),
  programs: each((item) => ({ ...item, ...counts(item, ["packets", "bytes", "dropped", "other"]) })),
  ports: each(passed),
  drops: (list) => caused(list as List),
  problems: (list) => ({ items: problems((list as List).items) }),
};

/** The normalised answer to `GET /v1/ROUTE`. */
export function normal(route: string, answer: Fields, known: Known): Fields {
  return named((ROUTES[route] ?? ((same) => same))(answer), known) as Fields;
}

/** Replaces names of this run by stable ones. */
export function named(value: unknown, known: Known): unknown {
  if (typeof value === "string") return stable(value, known);
  if (Array.isArray(value)) return value.map((one) => named(one, known));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, named(one, known)]));
}

export function stable(text: string, { folder, builds }: Known): string {
  let result = text.replaceAll(folder, "/folder");
  for (const [build, name] of builds) result = result.replaceAll(build, name);
  return result;
}
