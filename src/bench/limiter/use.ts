import { readdirSync } from "node:fs";
import { join } from "node:path";
import { BpfMap, type Codec, inspectObject } from "../../kernel/index.ts";
import type { BenchContext } from "../context.ts";
import { objectsFolder } from "../objects.ts";
import type { Stage } from "../stage.ts";

/** A limit's counters at layer 3: what it passed, and others, which are null in a build that does not count them. */
export interface Use {
  packets: number;
  bytes: number;
  dropped: number | null;
  marked: number | null;
}

/** Reads a limit's row. Older builds do not have all fields. */
export function readUse(row: Readonly<Record<string, unknown>>): Use {
  const number = (name: string): number | null => (row[name] === undefined ? null : Number(row[name]));
  const [packets, bytes] = [number("packets"), number("bytes")];
  if (packets === null || bytes === null) {
    throw new Error(`read a limit's counters: no packets and bytes in ${Object.keys(row).join(", ")}`);
  }
  return { packets, bytes, dropped: number("refused_packets"), marked: number("marked_packets") };
}

/** Counters of a node's limits, read from its maps, which takes microseconds. */
export class Uses {
  readonly #names: BpfMap;
  readonly #uses: BpfMap;
  readonly #name: Codec;
  readonly #id: Codec;
  readonly #key: Codec;
  readonly #value: Codec;

  constructor(stage: Stage, node: string, context: Pick<BenchContext, "weir" | "env">) {
    const root = join("/run/weir/labs", stage.name, "bpf/weir", node);
    const panel = readdirSync(root).find((name) => name.startsWith("abi-")) ?? "abi";
    const objects = objectsFolder(context);
    const limit = inspectObject(join(objects, "limit.bpf.o")).codecs("weir_limit_use");
    const names = inspectObject(join(objects, "entry.bpf.o")).codecs("weir_names");
    [this.#name, this.#id, this.#key, this.#value] = [names.key, names.value, limit.key, limit.value];
    this.#names = BpfMap.open(join(root, panel, "maps/weir_names"));
    this.#uses = BpfMap.open(join(root, panel, "maps/weir_limit_use"));
  }

  /** Counters of the limit of a pod's device; undefined if there is none, or it has seen no packet yet. */
  read(device: string, direction: "ingress" | "egress"): Use | undefined {
    const name = this.#names.lookup(this.#name.encode({ name: `instance:limit:${device}:${direction}` }));
    if (!name) return undefined;
    const value = this.#uses.lookup(this.#key.encode({ instance: Number(this.#id.decode(name)["id"]) }));
    if (!value) return undefined;
    const size = value.length / Math.max(1, Math.round(this.#uses.bufferSize / this.#value.size));
    const slots = Array.from({ length: value.length / size }, (_, i) => value.subarray(i * size, (i + 1) * size));
    return slots.map((slot) => readUse(this.#value.decode(slot) as unknown as Record<string, unknown>)).reduce(add);
  }

  close(): void {
    this.#names.close();
    this.#uses.close();
  }
}

function add(a: Use, b: Use): Use {
  const sum = (x: number | null, y: number | null): number | null => (x === null || y === null ? null : x + y);
  return {
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    dropped: sum(a.dropped, b.dropped),
    marked: sum(a.marked, b.marked),
  };
}
