import { vi } from "vitest";
import { ApiStatusError, type ObjectStatus } from "../../sources/kubernetes/index.ts";
import type { ObjectResult } from "../conditions.ts";
import { type Results, ResultWriter } from "../writer.ts";

interface Write {
  metadata: { resourceVersion?: string };
  status: { nodes?: object[] };
}

const NOBODY: ObjectResult = { refusals: [], pods: 0, faults: [] };

/**
 * A Limit on an API server, with a writer on each node. Each of them sees a change of it some time later. Use it with
 * fake timers.
 */
export class Cluster {
  /** Writes that the server took, by what they wrote, and those that it refused as conflicts. */
  readonly counts = { entries: 0, conditions: 0, conflicts: 0 };
  readonly nodes: readonly string[];
  /** Nodes whose agent does not run. */
  readonly dead = new Set<string>();
  #object: ObjectStatus;
  readonly #pods = new Map<string, number>();
  readonly #seen = new Map<string, ObjectStatus>();
  readonly #writers: ReadonlyMap<string, ResultWriter>;

  constructor(size: number, signal: AbortSignal) {
    this.nodes = Array.from({ length: size }, (_, index) => `n${index}`);
    const ids = { kind: "Limit", namespace: "ns", name: "slow", uid: "u" } as const;
    this.#object = { ...ids, resourceVersion: "1", generation: 1, status: {} };
    this.#writers = new Map(this.nodes.map((node) => [node, this.#writer(node, signal)]));
  }

  get status(): Record<string, unknown> {
    return this.#object.status;
  }

  /** A node's agent finds that this many of the Limit's pods are there. */
  setPods(node: string, pods: number): void {
    this.#pods.set(node, pods);
    this.#writers.get(node)?.mark();
  }

  /** Somebody edits the Limit. */
  edit(): void {
    this.#change({ generation: this.#object.generation + 1 });
  }

  #writer(node: string, signal: AbortSignal): ResultWriter {
    const client = {
      apply: async (_: object, __: object, body: object) => {
        await new Promise((done) => setTimeout(done, 5));
        this.#take(node, body as Write);
        return { metadata: { name: "slow" } };
      },
    };
    const nodes = new Set(this.nodes);
    const collect = async (): Promise<Results | undefined> => {
      if (this.dead.has(node)) return undefined;
      const findings = new Map([["Limit/ns/slow", { ...NOBODY, pods: this.#pods.get(node) ?? 0 }]]);
      return { statuses: [this.#seen.get(node) ?? this.#object], findings, problems: [], uid: () => undefined, nodes };
    };
    const log = { warn: vi.fn(), info: vi.fn() };
    return new ResultWriter({ client: client as never, node, collect, log, signal });
  }

  #take(node: string, { metadata, status }: Write): void {
    const { resourceVersion = this.#object.resourceVersion } = metadata;
    if (resourceVersion !== this.#object.resourceVersion) {
      this.counts.conflicts++;
      throw new ApiStatusError("PATCH", 409, { kind: "Status", reason: "Conflict" });
    }
    this.counts[status.nodes ? "entries" : "conditions"]++;
    const others = ((this.status["nodes"] ?? []) as { name: string }[]).filter(({ name }) => name !== node);
    const nodes = status.nodes ? [...others, ...status.nodes] : others;
    this.#change({ status: { ...this.status, ...status, ...(status.nodes && { nodes }) } });
  }

  /** Changes the object. The nodes see it within 10 to 30 ms. */
  #change(change: Partial<ObjectStatus>): void {
    const now = { ...this.#object, ...change, resourceVersion: `${Number(this.#object.resourceVersion) + 1}` };
    this.#object = now;
    for (const [index, [node, writer]] of [...this.#writers].entries()) {
      const see = () => {
        this.#seen.set(node, now);
        writer.mark();
      };
      setTimeout(see, 10 + ((index * 7) % 20));
    }
  }
}
