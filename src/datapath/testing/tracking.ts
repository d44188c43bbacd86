import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ethernet, type Layer3 } from "../../../test/packets.ts";
import {
  type BpfObject,
  inspectObject,
  loadObject,
  mountBpffs,
  type Program,
  unmountBpffs,
} from "../../kernel/index.ts";
import { leftovers } from "../../kernel/testing/leftovers.ts";
import { type FlowTableSize, withFlows } from "../flow-folder.ts";
import { FLOW_STATES, type FlowState, flowUnits } from "../flow-states.ts";
import { FlowTable } from "../flows.ts";
import { compileObject } from "./bench.ts";

const MACS = { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" };
const FRAME = Buffer.alloc(64);

/** `enum track_result` in `bpf/testing/track.bpf.c`, in its order. */
const RESULTS = ["found", "opened", "no-flow", "missed", "taken", "refused"] as const;
const WORKS = ["nothing", "find", "find-answer", "see", "open", "insert", "see-answer", "insert-answer"] as const;

/** How a packet is tracked. */
export interface Asked {
  zone?: number;
  owner?: number;
  /** Time of the packet, seconds from now. */
  later?: number;
  /** Ports after translation. */
  translate?: { dstPort?: number; srcPort?: number };
  service?: number;
}

/** The result of tracking one packet. */
export interface Told {
  result: (typeof RESULTS)[number];
  state: FlowState;
  /**
   * `reversed`: the packet has the responder's direction. `translated`: it has the translated tuple. `error`: it is an
   * ICMP error that quotes such a packet.
   */
  reversed: boolean;
  translated: boolean;
  error: boolean;
  /** The packet is the first of a new connection that replaced one that had ended. */
  again: boolean;
  place: number;
  service: number;
}

/** A burst of numbered flows: see `struct track_burst`. */
export interface Burst {
  work: (typeof WORKS)[number];
  flows: number;
  zone?: number;
  owner?: number;
  owners?: number;
  next?: number;
  /** Start, seconds from now, and flows per second of that time; by default as fast as possible. */
  later?: number;
  perSecond?: number;
  protocol?: number;
  /** Of TCP segments that are seen; ACK if left out. */
  flags?: number;
  /** Destination port after translation; the source port is not translated. */
  translate?: number;
}
export type Counted = Record<"found" | "opened" | "missed" | "taken" | "refused" | "lost" | "reversed", number>;

/** A flow table with functions that only track. */
export class Tracker {
  readonly directory = mkdtempSync(join(tmpdir(), "weir-flows-"));
  readonly folder = join(this.directory, "bpf", "flows");
  readonly table: FlowTable;
  readonly #object: BpfObject;
  readonly #undo = leftovers();
  readonly #burst: ReturnType<BpfObject["codecs"]>["value"];

  constructor(size: Partial<FlowTableSize> = {}) {
    this.#undo.defer(() => rmSync(this.directory, { recursive: true, force: true }));
    mountBpffs(join(this.directory, "bpf"));
    this.#undo.defer(() => unmountBpffs(join(this.directory, "bpf")));
    for (const [name, source] of [
      ["track", "bpf/testing/track.bpf.c"],
      ["flows", "bpf/flows.bpf.c"],
    ] as const) {
      compileObject(source, join(this.directory, `${name}.bpf.o`));
    }
    const path = join(this.directory, "track.bpf.o");
    const { elsewhere = {}, rows = {} } = withFlows(this.folder, { buckets: 64, owners: 1024, ...size });
    this.#object = loadObject(path, { pinAt: elsewhere, maxEntries: rows });
    this.table = FlowTable.open(this.folder, this.directory);
    this.#burst = inspectObject(path).codecs("weir_track_bursts").value;
  }

  /** Tracks one packet. */
  track(packet: Layer3, { zone = 1, owner = 1, later = 0, translate, service = 0 }: Asked = {}): Told {
    const ports = translate ? ((translate.srcPort ?? 0) << 16) | (translate.dstPort ?? 0) : 0;
    const cb = [zone, owner, unitsFrom(later), ports, service];
    const { ctx } = this.#program("weir_track").testRun({ data: ethernet(MACS, packet), ctx: { cb } });
    const [result = 0, state = 0, how = 0, place = 0, found = 0] = ctx.cb;
    return {
      result: RESULTS[result] ?? "refused",
      state: FLOW_STATES[state] ?? "none",
      reversed: (how & 1) !== 0,
      translated: (how & 2) !== 0,
      error: (how & 4) !== 0,
      again: (how & 8) !== 0,
      place,
      service: found,
    };
  }

  /** Sets a row to this burst, with zero counters. */
  prepare(burst: Burst, row = 0): void {
    const { work, later = 0, perSecond, owners = 1, ...rest } = burst;
    const pace = perSecond === undefined ? 0xffffffff : Math.max(1, Math.round((perSecond * 1000) / flowUnits(1000)));
    const fields = {
      ...{ zone: 1, owner: 1, next: 0, protocol: 17, translate: 0, flags: 0 },
      ...rest,
      ...{ work: WORKS.indexOf(work), later: unitsFrom(later), pace, owners },
    };
    this.#object.map("weir_track_bursts").update(u32(row), this.#burst.encode(fields));
  }

  /** Runs a row's burst this many times. Returns ns per run. */
  run(times: number, row = 0): number {
    return this.#program("weir_track_burst").testRun({ data: FRAME, ctx: { mark: row }, repeat: times }).durationNs;
  }

  /** Like `run`, concurrently with other work. */
  async runBeside(times: number, row = 0): Promise<number> {
    const run = { data: FRAME, ctx: { mark: row }, repeat: times };
    return (await this.#program("weir_track_burst").testRunBeside(run)).durationNs;
  }

  counted(row = 0): Counted {
    const bytes = this.#object.map("weir_track_bursts").lookup(u32(row)) as Buffer;
    const { found, opened, missed, taken, refused, lost, reversed } = this.#burst.decode(bytes) as Record<
      string,
      bigint
    >;
    const counts = { found, opened, missed, taken, refused, lost, reversed };
    return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Number(count)])) as Counted;
  }

  /** Runs a burst from beginning to end. */
  burst(burst: Burst, times = burst.flows): Counted {
    this.prepare(burst);
    this.run(times);
    return this.counted();
  }

  close(): void {
    this.table.close();
    this.#object.close();
    this.#undo.dispose();
  }

  #program(name: string): Program {
    return this.#object.program(name);
  }
}

/** Seconds from now as the programs are told them: none are no unit. */
const unitsFrom = (seconds: number): number => (seconds === 0 ? 0 : flowUnits(seconds));

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
