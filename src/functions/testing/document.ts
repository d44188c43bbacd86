import { nodeFragment, writeImpairments, writeLimits } from "../../authors/document.ts";
import { ownAddresses, peerNetwork, podNetwork } from "../../authors/network.ts";
import type { Datapath } from "../../datapath/datapath.ts";
import type { Delta, Fragment } from "../../model/document.ts";
import type { ImpairRule } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import { podKey } from "../../model/names.ts";
import {
  type HostPod,
  hostPort,
  type NodeContext,
  type PodAttachment,
  type PodPort,
  podPort,
  type Tap,
  tapPort,
} from "../../model/node-context.ts";
import type { Node } from "../../model/objects.ts";
import type { ProgramInForce } from "../../model/programs.ts";
import { Composer } from "../../reconcile/composer.ts";
import { customItems } from "../custom/custom.ts";
import { cgroupRow, socketsPortOf, tapPortOf } from "../tap/tap.ts";

type ByPod<T> = ReadonlyMap<string, readonly T[]>;

/** The state that a test wants on a node, with rules in force by pod. */
export interface Wanted {
  node: NodeContext;
  nodes?: readonly Node[] | undefined;
  endpoints?: readonly PodAttachment[] | undefined;
  taps?: readonly Tap[] | undefined;
  hosts?: readonly HostPod[] | undefined;
  limits?: ByPod<LimitRule> | undefined;
  impairments?: ByPod<ImpairRule> | undefined;
  builds?: ByPod<ProgramInForce> | undefined;
}

const AUTHORS = ["node", "peers", "pods", "rules"] as const;
type Author = (typeof AUTHORS)[number];

/** A document that is updated to what a test wants. */
export class TestDocument {
  readonly composer = new Composer({ authors: AUTHORS, maxChain: 7 });
  readonly #held = new Map<string, [Author, string]>();

  /** Changes the document to `wanted`. Returns the changes. */
  follow(wanted: Wanted): Delta {
    const now = new Map<string, [Author, string]>();
    for (const [author, key, fragment] of fragmentsOf(wanted)) {
      this.composer.set(author, key, fragment);
      now.set(`${author} ${key}`, [author, key]);
    }
    for (const [id, [author, key]] of this.#held) if (!now.has(id)) this.composer.set(author, key, undefined);
    this.#held.clear();
    for (const [id, one] of now) this.#held.set(id, one);
    return this.composer.take();
  }
}

const documents = new WeakMap<Datapath, TestDocument>();

/** Applies `wanted` to a datapath: the changes since the last call, or everything at the first. */
export function applyWanted(datapath: Datapath, wanted: Wanted): { writes: number } {
  const known = documents.get(datapath);
  const document = known ?? new TestDocument();
  documents.set(datapath, document);
  return datapath.apply(document.follow(wanted), { whole: !known });
}

/** Throws if an item is not in force. */
export function assertInForce({ outcomes }: Datapath): void {
  const failed = outcomes.all().filter(({ severity }) => severity === "error");
  if (failed.length > 0) throw new Error(JSON.stringify(failed));
}

function* fragmentsOf(wanted: Wanted): Generator<[Author, string, Fragment]> {
  const { node, nodes = [], endpoints = [], taps = [], hosts = [] } = wanted;
  const impairments = [...(wanted.impairments ?? [])].some(([, rules]) => rules.length > 0);
  yield ["node", "node", nodeFragment(node, { taps: taps.length + hosts.length > 0, impairments })];
  const others = nodes.filter(({ metadata }) => metadata.name !== node.name);
  for (const peer of node.mode === "chained" ? [] : others) {
    yield ["peers", peer.metadata.name, peerNetwork(peer, node)];
  }
  const at = new Map<string, PodPort | undefined>();
  const own = ownAddresses(node);
  const sorted = endpoints.toSorted((a, b) => (podKey(a) < podKey(b) ? -1 : 1));
  for (const one of endpoints) {
    const isUsual = (ip: string) => !own.includes(ip) && sorted.find(({ ips }) => ips.includes(ip)) === one;
    yield ["pods", podKey(one), podNetwork(one, node, one.ips.filter(isUsual))];
    at.set(podKey(one), podPort(one));
  }
  for (const tap of taps) {
    yield ["pods", podKey(tap), { owner: `Pod/${podKey(tap)}`, ports: [tapPortOf(nameOf(tapPort(tap)), tap.device)] }];
    at.set(podKey(tap), podPort(undefined, tap));
  }
  for (const host of hosts) {
    const port = hostPort(host);
    const ports = [socketsPortOf(nameOf(port), host.device)];
    const rows = () => [cgroupRow(host.cgroup, port)];
    yield ["pods", podKey(host), { owner: `Pod/${podKey(host)}`, ports, rows }];
    at.set(podKey(host), podPort(undefined, undefined, host));
  }
  for (const port of at.values()) if (port) yield* rulesAt(port, wanted);
}

function* rulesAt(at: PodPort, { node, limits, impairments, builds }: Wanted): Generator<[Author, string, Fragment]> {
  const owner = `Pod/${at.key}`;
  const rules = (fragments: Iterable<readonly [string, Fragment]>, kind: string) =>
    [...fragments].map(([part, one]): [Author, string, Fragment] => ["rules", `${at.key} ${kind} ${part}`, one]);
  yield* rules(writeLimits(at, { rules: limits?.get(at.key) ?? [] }, node), "limit");
  yield* rules(writeImpairments(at, { rules: impairments?.get(at.key) ?? [] }, node), "impair");
  const programs = builds?.get(at.key) ?? [];
  yield* rules(
    programs.map((one) => [one.direction, { owner, ...customItems(at, one) }]),
    "program",
  );
}

const nameOf = (port: string): string => port.slice(port.indexOf(":") + 1);
