import { customItems } from "../functions/custom/custom.ts";
import { impairItems } from "../functions/impair/impair.ts";
import { ownRows } from "../functions/impair/rows.ts";
import { limitItems } from "../functions/limit/limit.ts";
import { cgroupRow, socketsPortOf, TAP, tapPortOf } from "../functions/tap/tap.ts";
import type { Direction } from "../model/directions.ts";
import type { Fragment } from "../model/document.ts";
import { type ImpairRule, MAX_IMPAIRMENTS } from "../model/impair.ts";
import type { LimitRule } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import { hostPort, type NodeContext, type PodPort, podPort, tapPort } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";
import { delayLinks, panelLinks } from "../model/panel.ts";
import { sameValue } from "../model/same.ts";
import type { Readable } from "../store/collection.ts";
import type { Derived, View } from "../store/derived.ts";
import type { Store } from "../store/store.ts";
import { type Cluster, NODE } from "./cluster.ts";
import { nodeNetwork, ownAddresses, peerNetwork, podNetwork } from "./network.ts";
import type { Choice, Rules } from "./rules.ts";

/** The fragments of one key, by name within the key. */
export type Fragments = ReadonlyMap<string, Fragment>;

/** The collections that authors read. */
export interface Known {
  cluster: Cluster;
  rules: Rules;
  /** Nodes with their accepted claims. */
  nodes: Readable<Node>;
}

/** The authors of a node's document, and the ports that rules are attached to. */
export interface Document {
  /** Fragments by author, in order of precedence: of two authors that write the same item, the first wins. */
  authors: ReadonlyMap<string, Derived<Fragments>>;
  /** The port of each local pod. */
  ports: Derived<PodPort>;
}

/** Declares the authors of a node's document. */
export function declareAuthors(store: Store, { cluster, rules, nodes }: Known): Document {
  const { attachments, taps, hosts, builds } = cluster;
  const ports = store.derive(
    "ports of pods",
    [attachments, taps, hosts],
    (key, view) => podPort(view.row(attachments, key), view.row(taps, key), view.row(hosts, key)),
    { same: sameValue },
  );
  /** Declares the author of one kind of rule: a fragment for each rule of a pod that has a port. */
  const atPorts = <T>(
    name: string,
    over: Readable<T>,
    write: (at: PodPort, row: T, node: NodeContext, view: View) => Iterable<[string, Fragment]>,
  ): Derived<Fragments> =>
    store.derive<Fragments>(`${name} at ports`, [over], (key, view) => {
      const [row, at, node] = [view.row(over, key), view.row(ports, key), view.row(cluster.node, NODE)];
      return row === undefined || !at || !node ? undefined : new Map(write(at, row, node, view));
    });
  const limits = atPorts("limits", rules.limits, writeLimits);
  const impairments = atPorts("impairments", rules.impairments, writeImpairments);
  const programs = atPorts("programs", builds, (at, inForce, _, view) =>
    inForce.map((one): [string, Fragment] => {
      const rule = view.row(rules.programs, at.key)?.rules.find(({ direction }) => direction === one.direction);
      return [one.direction, { owner: rule?.object ?? `Pod/${at.key}`, ...customItems(at, one) }];
    }),
  );
  const tapped = store.derive("taps' ports", [taps, hosts], (key, view): Fragments | undefined => {
    const [tap, host] = [view.row(taps, key), view.row(hosts, key)];
    const owner = `Pod/${key}`;
    if (tap) return only(owner, { ports: [tapPortOf(...portOf(tapPort(tap)), tap.device)] });
    if (!host) return undefined;
    const name = hostPort(host);
    const rows = () => [cgroupRow(host.cgroup, name)];
    return only(owner, { ports: [socketsPortOf(...portOf(name), host.device)], rows });
  });
  const pods = store.derive<Fragments>("pods' networks", [attachments], (key, view) => {
    const [attached, node] = [view.row(attachments, key), view.row(cluster.node, NODE)];
    if (!attached || !node || !isNetwork(node)) return undefined;
    const own = ownAddresses(node);
    // If two pods have the same address, it is routed to the pod with the smaller key.
    const isUsual = (ip: string) => !own.includes(ip) && view.keys(attachments, "ip", ip)[0] === key;
    return new Map([["network", podNetwork(attached, node, attached.ips.filter(isUsual))]]);
  });
  const peers = store.derive<Fragments>("ways to nodes", [nodes], (key, view) => {
    const [peer, node] = [view.row(nodes, key), view.row(cluster.node, NODE)];
    const isOther = peer && node && isNetwork(node) && key !== node.name;
    return isOther ? new Map([["way", peerNetwork(peer, node)]]) : undefined;
  });
  const node = store.derive<Fragments>("the node itself", [cluster.node], (key, view) => {
    const own = view.row(cluster.node, key);
    if (!own) return undefined;
    const has = { taps: view.some(taps) || view.some(hosts), impairments: view.some(impairments) };
    return new Map([["node", nodeFragment(own, has)]]);
  });
  return { ports, authors: new Map(Object.entries({ node, peers, pods, tapped, programs, impairments, limits })) };
}

/** Whether Weir provides the pods' network itself. */
const isNetwork = ({ mode }: NodeContext): boolean => mode !== "chained";

const only = (owner: string, items: Omit<Fragment, "owner">): Fragments => new Map([["network", { owner, ...items }]]);

/** The port's name without its instance. */
const portOf = (fullName: string): [string] => [fullName.slice(fullName.indexOf(":") + 1)];

/** The node's own fragment: the panel's devices, and in mode network the router. */
export function nodeFragment(node: NodeContext, has: { taps: boolean; impairments: boolean }): Fragment {
  const own = isNetwork(node) ? nodeNetwork(node) : {};
  return {
    owner: objectKey("Node", node),
    ...own,
    instances: [...(own.instances ?? []), ...(has.taps ? [{ name: TAP, function: TAP }] : [])],
    // The delaying pair exists from the start and stays after the last delay: removing it would drop the packets in it.
    links: [...panelLinks(), ...(node.fq ? delayLinks() : []), ...(own.links ?? [])],
    rows: () => [...(own.rows?.() ?? []), ...(has.impairments ? ownRows(node.addresses) : [])],
  };
}

export function writeLimits(at: PodPort, { rules }: Pick<Choice<LimitRule>, "rules">, node: NodeContext) {
  const mtu = at.mtu ?? node.mtu;
  return rules.map((rule): [string, Fragment] => [
    rule.direction,
    { owner: ownerOf(rule.source, at), ...limitItems(at, rule, mtu) },
  ]);
}

/** Fragments in chain order. A rule whose peers match nobody gets no fragment. */
export function writeImpairments(
  at: PodPort,
  { rules }: Pick<Choice<ImpairRule>, "rules">,
  { fq = false }: NodeContext,
) {
  const acting = rules.filter(({ match }) => match.peers?.length !== 0);
  const placed = (direction: Direction) =>
    acting
      .filter((rule) => rule.direction === direction)
      .slice(0, MAX_IMPAIRMENTS)
      .map((rule, place): [string, Fragment] => [
        `${direction} ${rule.id}`,
        { owner: ownerOf(rule.source, at), ...impairItems(at, rule, place, fq) },
      ]);
  return [...placed("ingress"), ...placed("egress")];
}

/** The object that a rule belongs to: a Limit, Impairment or Service, or else the pod. */
const ownerOf = (source: string, { key }: PodPort): string =>
  /^(Limit|Impairment|Service)\//.test(source) ? source : `Pod/${key}`;
