import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { Client } from "../../api/client.ts";
import type { BenchContext } from "../context.ts";
import { manifests, type PodSpec } from "../pods.ts";
import { Stage } from "../stage.ts";
import { type Use, Uses } from "./use.ts";
import { Watch } from "./watch.ts";

export type Direction = "ingress" | "egress";
export type Where = "same" | "across";
/** How a limit is written: in the pod's annotation, or by a Limit object. */
export type How = "annotation" | "Limit";

/** A rule in addition to the limit: annotations of the pod, or an object. */
export interface Rule {
  annotations?: Record<string, string> | undefined;
  /** A manifest. */
  object?: object | undefined;
}

/** Packets of one direction that the pod's node has dropped, or that wait in the limit. */
export interface Tally {
  dropped: Record<string, number>;
  /** By the limit. */
  lost: number;
  queued: number;
}

/** A path between two pods. */
export interface Path {
  /** Network namespaces of the sender and the receiver. */
  from: string;
  to: string;
  /** The receiver's address. */
  address: string;
}

export const MTU = 1450;
const NODE = "node-1";
const PATIENCE = 15_000;
/** File of the other rule. */
const RULE = "rule.yaml";
/** Peers of the limited pod; `other` sends additional traffic. */
const PEERS: readonly PodSpec[] = [
  { name: "same", node: NODE },
  { name: "other", node: NODE },
  { name: "across", node: "node-2" },
];

/** A pod whose limit is changed and observed, in a lab of its own. A pod whose limit got stuck is replaced by a new one. */
export class Bed {
  readonly stage: Stage;
  readonly #context: BenchContext;
  readonly #client: Client;
  readonly #uses: Uses;
  readonly #netns = new Map<string, string>();
  #generation = 1;
  #device = "";
  /** Annotations of the pod: of the limit, and of another rule. */
  #limit: Record<string, string> = {};
  #rule: Record<string, string> = {};

  private constructor(stage: Stage, context: BenchContext) {
    this.stage = stage;
    this.#context = context;
    this.#client = new Client({ socket: `/run/weir/labs/${stage.name}/nodes/${NODE}/agent.sock` });
    this.#uses = new Uses(stage, NODE, context);
  }

  /** @param programs folder of users' programs */
  static async up(context: BenchContext, programs?: string): Promise<Bed> {
    const pods = [...PEERS, { name: "limited-1", node: NODE }];
    const stage = await Stage.up({ ...context, nodes: 2, pods, programs });
    try {
      const bed = new Bed(stage, context);
      await bed.#learn();
      return bed;
    } catch (error) {
      await stage.down();
      throw error;
    }
  }

  /** Name of the limited pod. */
  get name(): string {
    return `limited-${this.#generation}`;
  }

  netns(pod: string): string {
    const path = this.#netns.get(pod);
    if (path === undefined) throw new Error(`find namespace of pod ${pod}: no such pod`);
    return path;
  }

  /** The path from the limited pod (egress) or to it (ingress). */
  path(direction: Direction, peer: Where | "other"): Path {
    const [from, to] = direction === "egress" ? [this.name, peer] : [peer, this.name];
    return { from: this.netns(from), to: this.netns(to), address: this.stage.ip(to, 4) };
  }

  /** Writes a limit, bit/s, to the watched folder, or removes it (null). Does not wait until it is in force. */
  write(direction: Direction, rate: number | null, how: How = "annotation"): void {
    const annotated = how === "annotation" && rate !== null;
    if (how === "annotation") {
      this.#limit = annotated ? { [`kubernetes.io/${direction}-bandwidth`]: String(rate) } : {};
      this.#writePod();
    } else if (rate === null) this.stage.removeManifest("limit.yaml");
    else this.stage.writeManifest("limit.yaml", limitObject(this.name, direction, rate));
  }

  /** Writes a limit, removes any other, and waits until it is in force. */
  async set(direction: Direction, rate: number | null, how: How = "annotation"): Promise<void> {
    this.stage.removeManifest("limit.yaml");
    if (how === "Limit") this.write(direction, null);
    this.write(direction, rate, how);
    await this.#until(`limit of ${rate} bit/s is in force`, async () => {
      const all = (await this.#client.list("limits")).filter(({ pod }) => pod === this.name);
      if (rate === null) return all.length === 0;
      return all.length === 1 && all[0]?.direction === direction && all[0].effective === rate;
    });
  }

  /** Replaces the other rule, or removes it (null). Does not wait until it is in force. */
  writeRule(rule: Rule | null): void {
    const { annotations = {}, object } = rule ?? {};
    const isAnnotated = Object.keys({ ...this.#rule, ...annotations }).length > 0;
    this.#rule = annotations;
    if (isAnnotated) this.#writePod();
    if (object) this.stage.writeManifest(RULE, stringify(object));
    else this.stage.removeManifest(RULE);
  }

  /** Receipts of the pod's impairments, or programs, in one direction. */
  async receipts<K extends "impairments" | "programs">(kind: K, direction: Direction) {
    return (await this.#client.list(kind)).filter((one) => one.pod === this.name && one.direction === direction);
  }

  /** Counts the pod's packets of one direction at its port. */
  async tally(direction: Direction): Promise<Tally> {
    const [drops, limits] = await Promise.all([this.#client.list("drops"), this.#client.list("limits")]);
    const own = drops.filter((one) => one.owner === `default/${this.name}` && one.direction === direction);
    const limit = limits.find((one) => one.pod === this.name && one.direction === direction);
    return {
      dropped: Object.fromEntries(own.map(({ reason, packets }) => [reason, packets])),
      lost: limit?.lost?.packets ?? 0,
      queued: limit?.queued?.packets ?? 0,
    };
  }

  /** The limit's counters; undefined if there is no limit. */
  use(direction: Direction): Use | undefined {
    return this.#uses.read(this.#device, direction);
  }

  /** Reads the counters of the limit and of the receiver until it is stopped. */
  watch(direction: Direction, netns: string): Watch {
    return new Watch(netns, () => this.use(direction)?.bytes ?? null);
  }

  /** Replaces the limited pod by a new one without a limit. */
  async renew(): Promise<void> {
    this.stage.removeManifest("limit.yaml");
    this.stage.removeManifest(`default-${this.name}.yaml`);
    this.stage.removeManifest(RULE);
    this.#generation++;
    [this.#limit, this.#rule] = [{}, {}];
    this.#writePod();
    await this.#until(`pod ${this.name} is ready`, async () =>
      (await this.#client.list("endpoints")).some(({ name }) => name === this.name),
    );
    await this.#learn();
  }

  async down(): Promise<void> {
    this.#uses.close();
    await this.stage.down();
  }

  #writePod(): void {
    const annotations = { ...this.#limit, ...this.#rule };
    const pod = { name: this.name, node: NODE, annotations };
    this.stage.writeManifest(`default-${this.name}.yaml`, manifests([pod]));
  }

  async #learn(): Promise<void> {
    const pods = await this.stage.refresh();
    this.#device = pods.find(({ name }) => name === this.name)?.device ?? "";
    const endpoints = await this.stage.get<{ name: string; netns: string }>("endpoints");
    for (const { name, netns } of endpoints) this.#netns.set(name, netns);
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE;
    while (!(await holds())) {
      if (Date.now() > end) throw new Error(`wait until the ${what}: not after ${PATIENCE / 1000} s`);
      await sleep(50, undefined, { signal: this.#context.signal });
    }
  }
}

function limitObject(pod: string, direction: Direction, rate: number): string {
  const metadata = { name: "limited", namespace: "default" };
  return stringify({
    apiVersion: "weir.dev/v1alpha1",
    kind: "Limit",
    metadata,
    spec: { pod, [direction]: String(rate) },
  });
}
