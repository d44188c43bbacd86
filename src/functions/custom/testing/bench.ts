import { readFileSync } from "node:fs";
import { join } from "node:path";
import { firstHop, markOf } from "../../../datapath/layout.ts";
import { Builder } from "../../../datapath/programs/builder.ts";
import { droppedAt } from "../../../datapath/testing/drops.ts";
import type { TestRunResult } from "../../../kernel/index.ts";
import type { Direction } from "../../../model/directions.ts";
import type { Macro } from "../../../model/program-rules.ts";
import { Node, type PodName } from "../../testing/node.ts";
import { customInstance } from "../custom.ts";

const examples = new URL("../../../../examples/programs/", import.meta.url).pathname;
const MARK_RESUMED = 0x01000000;

export interface Use {
  packets: number;
  bytes: number;
  dropped: number;
  other: number;
}

/** A node, and a builder of users' programs for it. */
export class Bench {
  readonly node = new Node();
  readonly builder: Builder;

  constructor() {
    this.builder = new Builder({
      wrapper: join(this.node.directory, "custom.bpf.o"),
      cache: join(this.node.directory, "programs"),
      maps: join(this.node.panel.own, "maps"),
    });
  }

  /** Builds a program (or an example, by its file name). Returns the build's name. Throws if it is refused. */
  async build(direction: Direction, text: string, macros: Record<string, number> = {}): Promise<string> {
    const bytes = text.endsWith(".c") ? readFileSync(join(examples, text)) : Buffer.from(text);
    const given: Macro[] = Object.entries(macros).map(([name, value]) => ({ name, value: String(value) }));
    const source = { file: "x.c", text: bytes, direction, macros: given };
    const name = await this.builder.name(source);
    const built = await this.builder.build(source, name);
    if (!built.ok) throw new Error(built.reason);
    return name;
  }

  use(direction: Direction, build: string, pod: PodName = "a"): Use {
    const table = this.node.panel.table("weir_custom_use");
    const instance = customInstance(this.node.endpoint(pod).device, direction, build);
    const row = table.lookup(table.key.encode({ instance: this.node.panel.names.id("instance", instance) }));
    const fields = row ? table.value.decode(row) : {};
    const count = (name: string): number => Number(fields[name] ?? 0);
    return { packets: count("packets"), bytes: count("bytes"), dropped: count("dropped"), other: count("other") };
  }

  /** Runs one packet through pod a's chain. */
  run(direction: Direction, frame: Buffer, repeat = 1): TestRunResult {
    const { panel } = this.node;
    const port = panel.names.id("port", `router:${this.node.endpoint("a").device}`);
    const hop = firstHop(port, direction === "egress" ? "ingress" : "egress");
    const mark = markOf(hop, panel.abi, MARK_RESUMED);
    return this.node.inNode(() => panel.resume.testRun({ data: frame, ctx: { mark }, repeat }));
  }

  /** Packets that the wrapper dropped at pod a's port. */
  drops(): number {
    const { panel } = this.node;
    const port = panel.names.id("port", `router:${this.node.endpoint("a").device}`);
    return droppedAt(panel.table("weir_drops"), port, DROP_CUSTOM);
  }

  close(): void {
    this.node.close();
  }
}

const DROP_CUSTOM = 22;
