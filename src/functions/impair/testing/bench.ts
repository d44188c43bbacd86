import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ethernet, ip4, ip6, type Layer4 } from "../../../../test/packets.ts";
import { firstHop, markOf } from "../../../datapath/layout.ts";
import { Program, type TestRunResult } from "../../../kernel/index.ts";
import type { Direction } from "../../../model/directions.ts";
import type { Effects, ImpairRule } from "../../../model/impair.ts";
import { Node } from "../../testing/node.ts";
import { impairInstance } from "../impair.ts";

/** `WEIR_META_*` state of a packet that is back from the splitting pair. */
const RESUMED = 0x1000;
const SECOND_GENERATION = 0x40000000;
const MARK_RESUMED = 0x01000000;
export const ID = "Impairment/default/x";
/** Packets per system call. */
const CHUNK = 1_000_000;
/** Significance level of statistical checks: the probability that a correct build fails one. */
export const UNLIKELY = 1e-4;

export const A = { v4: "10.244.1.10", v6: "fd00:10:244:1::10" };
export const B = { v4: "10.244.1.11", v6: "fd00:10:244:1::11" };
export const LINK = { src: "02:00:00:00:01:10", dst: "02:77:65:69:72:01" };
export const PORTS = { sport: 40_000, dport: 2000 };
export const PAYLOAD = Buffer.alloc(100, 7);
export const toB = (layer4: Layer4, dst = B.v4): Buffer => ethernet(LINK, ip4({ src: A.v4, dst }, layer4));
export const toB6 = (layer4: Layer4, dst = B.v6): Buffer => ethernet(LINK, ip6({ src: A.v6, dst }, layer4));
export const fromB = (layer4: Layer4, src = B.v4): Buffer => ethernet(LINK, ip4({ src, dst: A.v4 }, layer4));
export const fromB6 = (layer4: Layer4, src = B.v6): Buffer => ethernet(LINK, ip6({ src, dst: A.v6 }, layer4));

export const rule = (direction: Direction, effects: Effects, more: Partial<ImpairRule> = {}): ImpairRule => ({
  id: ID,
  direction,
  source: ID,
  configured: "",
  effects,
  match: {},
  exempt: { probes: false, dns: false },
  ...more,
});

export interface Use {
  packets: number;
  lost: number;
  duplicated: number;
  corrupted: number;
  bursts: number;
  spared: number;
}

/** A node whose pod a has one impairment, to run single packets through. */
export class Bench {
  readonly node = new Node();
  readonly #program: Program;

  constructor() {
    const programs = join(this.node.panel.own, "programs");
    const pin = readdirSync(programs).find((name) => name.startsWith("weir_impair_")) ?? "";
    this.#program = Program.open(join(programs, pin));
  }

  /** Puts one rule of pod a in force. */
  apply(one: ImpairRule): number {
    return this.node.applyRules({ impairments: { a: [one] } });
  }

  use(direction: Direction): Use {
    const table = this.node.panel.table("weir_impair_use");
    const row = table.lookup(table.key.encode({ instance: this.#instance(direction) }));
    const fields = row ? (table.value.decode(row) as Record<string, bigint>) : {};
    const count = (name: string): number => Number(fields[name] ?? 0);
    const [packets, lost] = [count("packets"), count("lost")];
    const others = { bursts: count("bursts"), spared: count("spared") };
    return { packets, lost, duplicated: count("duplicated"), corrupted: count("corrupted"), ...others };
  }

  /** Runs the program `times` times on one packet, as if back from the splitting pair. Returns the rule's counters. */
  repeat(direction: Direction, frame: Buffer, times: number): Use {
    const before = this.use(direction);
    const { panel } = this.node;
    const state = RESUMED | (panel.generations.active ? SECOND_GENERATION : 0);
    const cb = [this.#hop(direction), this.#instance(direction), state, 0, 0];
    for (let left = times; left > 0; left -= CHUNK) {
      this.node.inNode(() => this.#program.testRun({ data: frame, ctx: { cb }, repeat: Math.min(left, CHUNK) }));
    }
    const after = this.use(direction);
    return {
      packets: after.packets - before.packets,
      lost: after.lost - before.lost,
      duplicated: after.duplicated - before.duplicated,
      corrupted: after.corrupted - before.corrupted,
      bursts: after.bursts - before.bursts,
      spared: after.spared - before.spared,
    };
  }

  /** Runs one packet from the panel's entry program. */
  run(direction: Direction, frame: Buffer): TestRunResult {
    const mark = markOf(this.#hop(direction), this.node.panel.abi, MARK_RESUMED);
    return this.node.inNode(() => this.node.panel.resume.testRun({ data: frame, ctx: { mark } }));
  }

  /** Whether the rule lost the packet. */
  isLost(direction: Direction, frame: Buffer): boolean {
    const before = this.use(direction).lost;
    this.run(direction, frame);
    return this.use(direction).lost > before;
  }

  close(): void {
    this.node.close();
  }

  get #port(): number {
    return this.node.panel.names.id("port", `router:${this.node.endpoint("a").device}`);
  }

  #instance(direction: Direction): number {
    const { device } = this.node.endpoint("a");
    return this.node.panel.names.id("instance", impairInstance(device, direction, ID));
  }

  #hop(direction: Direction): number {
    return firstHop(this.#port, direction === "egress" ? "ingress" : "egress");
  }
}
