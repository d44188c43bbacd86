import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { stringify } from "yaml";
import { differences } from "../../src/model/difference.ts";
import type { Answers } from "./node.ts";
import type { Fields } from "./normal.ts";

/** Writes answers as text that is read and compared. */

const FOLDER = fileURLToPath(new URL("records", import.meta.url));
export const inline = (value: unknown): string =>
  stringify(value, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trimEnd();

/** The records of one world: a folder in which each file is compared once, or written. */
export class Records {
  readonly #world: string;
  readonly #written = new Set<string>();

  constructor(world: string) {
    this.#world = world;
  }

  /** Compares with the record, or writes it if vitest runs with `-u`. */
  async is(name: string, text: string): Promise<void> {
    this.#written.add(name);
    await expect(text).toMatchFileSnapshot(`${FOLDER}/${this.#world}/${name}`);
  }

  /** Every file in the folder belongs to a comparison. */
  areAll(): void {
    const folder = `${FOLDER}/${this.#world}`;
    const present = existsSync(folder) ? readdirSync(folder) : []; // New files are written when all tests have ended.
    expect(present.filter((name) => !this.#written.has(name))).toEqual([]);
  }
}

/** The fields that identify an item in its list. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  pods: ["namespace", "name"],
  limits: ["namespace", "pod", "direction", "source"],
  impairments: ["namespace", "pod", "direction", "source"],
  programs: ["namespace", "pod", "direction", "source"],
  ports: ["name"],
  chains: ["port", "direction"],
  drops: ["port", "direction", "reason"],
  problems: ["object", "path"],
  endpoints: ["namespace", "name"],
  objects: ["kind", "namespace", "name"],
  links: ["device"],
  routes: ["cidr", "via"],
  instances: ["name"],
  "topology.ports": ["instance", "name"],
  shapers: ["instance"],
  leases: ["instance"],
  rows: ["table", "key"],
};

/** Counters are left out: they are stable only if they are zero. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  limits: [
    "sent",
    "dropped",
    "queued",
    "lost",
    "marked",
    "delayed",
    "wait",
    "waits",
    "measured",
    "measuredAge",
    "node",
  ],
  impairments: [
    ...["lost", "duplicated", "corrupted", "reordered", "delayed", "bursts", "spared", "meanDelay", "measuredLoss"],
    ...["lossLow", "lossHigh", "packets", "node"],
  ],
  programs: ["packets", "bytes", "dropped", "other", "node"],
  ports: ["received", "sent", "node"],
  drops: ["packets", "bytes", "node"],
  ...Object.fromEntries(["pods", "chains", "problems", "endpoints", "objects"].map((kind) => [kind, ["node"]])),
};

const without = (item: Fields, names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(item).filter(([name, value]) => !names.includes(name) && value !== undefined));
const itemsOf = (kind: string, answer: Fields): Fields[] =>
  (answer["items"] as Fields[]).map((item) => without(item, LEFT_OUT[kind] ?? []));

/** One list as YAML: a block for each item, in the order of the answer. */
export function listText(kind: string, answers: Answers): string {
  const items = itemsOf(kind, answers[kind] ?? {});
  if (items.length === 0) return "[]\n";
  const fields = (item: Fields): string[] => Object.entries(item).map(([name, value]) => `${name}: ${inline(value)}`);
  return items.map((item) => `- ${fields(item).join("\n  ")}\n`).join("");
}

/** The topology with a line for each item. */
export function topologyText({ topology }: Answers): string {
  const spec = topology?.["spec"] as Record<string, unknown[]>;
  return Object.entries(spec)
    .map(([part, items]) => `${part}:\n${items.map((item) => `- ${inline(item)}\n`).join("")}`)
    .join("\n");
}

/** Items by their identity: `limits shop/web egress bandwidth`. */
function indexed(answers: Answers): Map<string, Fields> {
  const all = new Map<string, Fields>();
  const add = (kind: string, item: Fields, name = kind): void => {
    const words = (KEYS[name] ?? []).map((field) => item[field] ?? "-");
    const key = [kind, ...words.map((word) => (typeof word === "string" ? word : inline(word)))].join(" ");
    for (let place = 1; ; place++) {
      const numbered = place === 1 ? key : `${key} #${place}`;
      if (all.has(numbered)) continue;
      all.set(numbered, item);
      return;
    }
  };
  for (const [kind, answer] of Object.entries(answers)) {
    if (kind === "topology") addParts(answer["spec"] as Record<string, unknown[]>, add);
    else if (kind === "status") add(kind, { state: answer["state"], reason: answer["reason"] });
    else for (const item of itemsOf(kind, answer)) add(kind, item);
  }
  return all;
}

function addParts(spec: Record<string, unknown[]>, add: (kind: string, item: Fields, name?: string) => void): void {
  for (const [part, items] of Object.entries(spec)) {
    for (const item of items) {
      if (typeof item === "string") add(`${part} ${item}`, {});
      else add(`topology ${part}`, item as Fields, part === "ports" ? "topology.ports" : part);
    }
  }
}

/** The difference of two sets of answers: `+` new items, `-` removed ones, `~` fields of others. */
export function changesText(before: Answers, after: Answers): string {
  const [old, now] = [indexed(before), indexed(after)];
  const keys = [...new Set([...old.keys(), ...now.keys()])].toSorted();
  const lines = keys.flatMap((key) => {
    const [was, is] = [old.get(key), now.get(key)];
    if (!is) return [`- ${key}`];
    if (!was) return [`+ ${key}: ${inline(rest(key, is))}`];
    const changed = differences(was, is);
    if (changed.length === 0) return [];
    return [`~ ${key}`, ...changed.map((one) => `    ${one.path}: ${shown(one.before)} → ${shown(one.after)}`)];
  });
  return lines.length === 0 ? "nothing\n" : `${lines.join("\n")}\n`;
}

const shown = (value: unknown): string => (value === undefined ? "none" : inline(value));

/** A new item without the fields of its key. */
function rest(key: string, item: Fields): Fields {
  const [kind = "", part = ""] = key.split(" ");
  const names = kind === "topology" ? KEYS[part === "ports" ? "topology.ports" : part] : KEYS[kind];
  return without(item, names ?? []);
}

/** Metric families whose values are configured, not counted. */
const TOLD = /^weir_(agent_state|pods|limit_(configured|effective)_\w+|impairment_active)$/;

/** Names, types, help and labels of metrics. A family with the same series as another has that one's name instead. */
export function metricsText(exposition: string): string {
  const seen = new Map<string, string>();
  return exposition
    .split("# HELP ")
    .slice(1)
    .map((block) => {
      const [help = "", type = "", ...lines] = block.trimEnd().split("\n");
      const name = help.split(" ", 1)[0] ?? "";
      const series = lines
        .filter((line) => !/reason="(?!no_route)/.test(line))
        .map((line) => `  ${TOLD.test(name) ? line.slice(name.length) : line.slice(name.length).replace(/ \S+$/, "")}`)
        .toSorted();
      const text = series.join("\n");
      const same = series.length > 1 ? seen.get(text) : undefined;
      if (!same) seen.set(text, name);
      return `${help}\n  ${type.replace(/^# TYPE \S+ /, "")}\n${same ? `  as ${same}` : text}\n`;
    })
    .join("\n");
}
