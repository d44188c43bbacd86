import { addressAt, type Cidr, overlap, parseCidr, sizeOf } from "../model/addresses.ts";
import { objectKey } from "../model/names.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { Collection, type Readable } from "../store/collection.ts";
import { NODE } from "./cluster.ts";
import { type NetworkClaim, Networks } from "./networks.ts";

/**
 * Bounds what Node objects claim. A Node object may contain any address and any pod CIDR. A claim is accepted only if
 * it lies within the cluster's networks and overlaps neither this node's networks nor those of an older node.
 */

/**
 * If no clusterCIDRs are configured: the cluster's network is the node's pod CIDR widened by this many bits, i.e. room
 * for 256 nodes.
 */
const CLUSTER_BITS = 8;

/** Never a node's address: unspecified, loopback, link-local, multicast and reserved. */
const SPECIAL = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"];

/** The result of judging one node's claims. */
interface Judged {
  node: Node;
  age: string;
  taken: readonly NetworkClaim[];
  /** Claims that overlap an accepted claim of another node. */
  refused: readonly NetworkClaim[];
}

/**
 * Nodes, with only the accepted part of their claims. When a node changes, it is judged again, and so are younger nodes
 * whose claims overlap what it gained or lost.
 */
export class BoundNodes extends Collection<Node> {
  readonly problems = new Map<string, readonly Problem[]>();
  readonly #context: Readable<NodeContext>;
  readonly #nodes: Readable<Node>;
  readonly #judged = new Map<string, Judged>();
  readonly #contested = new Set<string>();
  readonly #stale = new Set<string>();
  #judge: Judge | undefined;
  #networks = new Networks();

  constructor(name: string, place: number, context: Readable<NodeContext>, nodes: Readable<Node>) {
    super(name, { place });
    this.#context = context;
    this.#nodes = nodes;
    nodes.watch(({ key }) => this.#stale.add(key));
    context.watch(() => {
      this.#judge = undefined;
    });
  }

  /** Judges stale nodes again. Returns how many nodes were judged. */
  settle(): number {
    const own = this.#context.get(NODE);
    if (!own) return 0;
    if (!this.#judge) this.#beginAnew(own);
    let count = 0;
    for (let name = this.#oldest(); name !== undefined; name = this.#oldest()) {
      this.#stale.delete(name);
      this.#settleOne(name, own);
      count++;
    }
    return count;
  }

  #beginAnew(own: NodeContext): void {
    this.#judge = new Judge(own);
    this.#networks = new Networks();
    for (const claim of ownClaims(own)) this.#networks.add(claim);
    this.#judged.clear();
    this.#contested.clear();
    for (const key of [...this.keys(), ...this.#nodes.keys()]) this.#stale.add(key);
  }

  /**
   * Takes the oldest stale node: judging a node can only affect younger ones. The sorted queue is reused while no other
   * node becomes stale.
   */
  #oldest(): string | undefined {
    if (this.#queue.length === 0 || this.#queued !== this.#stale.size) {
      const ages = [...this.#stale].map((name) => ({ name, age: this.#ageOf(name) }));
      this.#queue = ages.sort((a, b) => (a.age < b.age ? 1 : -1)).map(({ name }) => name);
    }
    const name = this.#queue.pop();
    this.#queued = this.#stale.size - 1;
    return name;
  }
  #queue: string[] = [];
  #queued = 0;

  /** The older of the age at the last judgement and the age now. A deleted node only has the former. */
  #ageOf(name: string): string {
    const ages = [this.#judged.get(name)?.age, ageOf(this.#nodes.get(name))].filter((age) => age !== undefined);
    return ages.sort()[0] ?? "";
  }

  #settleOne(name: string, own: NodeContext): void {
    const before = this.#judged.get(name);
    const now = this.#nodes.get(name);
    // A node whose age changed is judged twice: first as deleted, at its old age; then at its new age, after the nodes
    // in between.
    const hasMoved = before !== undefined && now !== undefined && before.age !== ageOf(now);
    if (hasMoved) this.#stale.add(name);
    const node = hasMoved ? undefined : now;
    for (const claim of before?.taken ?? []) this.#networks.remove(claim);
    this.#contested.delete(name);
    this.#judged.delete(name);
    this.problems.delete(name);
    const found = node && this.#bind(name, node, own);
    this.#callRefused(name, [...without(before?.taken, found?.taken), ...without(found?.taken, before?.taken)]);
    this.put(name, found?.node);
  }

  /** Marks as stale the nodes whose refused claims overlap a claim that was gained or lost. */
  #callRefused(by: string, changed: readonly NetworkClaim[]): void {
    if (changed.length === 0) return;
    for (const name of this.#contested) {
      if (name === by) continue;
      const refused = this.#judged.get(name)?.refused ?? [];
      if (refused.some((claim) => changed.some((one) => overlap(one.cidr, claim.cidr)))) this.#stale.add(name);
    }
  }

  #bind(name: string, node: Node, own: NodeContext): Judged {
    const age = ageOf(node) ?? "";
    if (name === own.name || own.mode === "chained") {
      const problems = name === own.name && own.mode !== "chained" ? differences(own, node) : [];
      return this.#keep(name, { node, age, taken: [], refused: [] }, problems);
    }
    const problems: Problem[] = [];
    const taken: NetworkClaim[] = [];
    const refused: NetworkClaim[] = [];
    const take = (claim: NetworkClaim): string | undefined => {
      const others = this.#networks.overlapping(claim.cidr);
      const older = others.find(({ owner }) => owner === claim.owner || !this.#isYounger(owner, age));
      if (older) {
        refused.push(claim);
        return whose(claim, older);
      }
      for (const other of others) this.#evict(other);
      this.#networks.add(claim);
      taken.push(claim);
      return undefined;
    };
    const bound = (this.#judge as Judge).bound(node, take, problems);
    return this.#keep(name, { node: bound, age, taken, refused }, problems);
  }

  #keep(name: string, judged: Judged, problems: readonly Problem[]): Judged {
    this.#judged.set(name, judged);
    if (judged.refused.length > 0) this.#contested.add(name);
    if (problems.length > 0) this.problems.set(name, problems);
    return judged;
  }

  #isYounger(owner: string, age: string): boolean {
    const name = owner.slice("Node/".length);
    const other = this.#judged.get(name);
    return name !== this.#context.get(NODE)?.name && other !== undefined && other.age > age;
  }

  #evict(claim: NetworkClaim): void {
    this.#networks.remove(claim);
    this.#stale.add(claim.owner.slice("Node/".length));
  }
}

/** A sort key: creation time from the API server, then name. */
const ageOf = (node: Node | undefined): string | undefined => node && `${node.createdAt ?? ""} ${node.metadata.name}`;

const sameNetwork = (one: NetworkClaim, other: NetworkClaim): boolean =>
  one.cidr.family === other.cidr.family && one.cidr.base === other.cidr.base && one.cidr.prefix === other.cidr.prefix;

function without(claims: readonly NetworkClaim[] = [], others: readonly NetworkClaim[] = []): NetworkClaim[] {
  return claims.filter((claim) => !others.some((one) => sameNetwork(one, claim)));
}

function whose(claim: NetworkClaim, other: NetworkClaim): string {
  const what = sameNetwork(claim, other) ? "is already" : `overlaps ${textOf(other)},`;
  return `${what} ${other.owner === claim.owner ? "its own" : `${other.owner}'s`}`;
}

/** Networks that belong to this node regardless of any Node object. */
function ownClaims({ name, addresses, podCIDRs }: NodeContext): NetworkClaim[] {
  const owner = `Node/${name}`;
  return [...addresses.map(single), ...podCIDRs].map((text) => ({ owner, cidr: read(text) }));
}

/** Reports where the own Node object differs from what this agent uses: other nodes send to what the object says. */
function differences(own: NodeContext, node: Node): Problem[] {
  const others = node.addresses.flatMap((address) => {
    const used = own.addresses.find((one) => single(one).endsWith("/32") === single(address).endsWith("/32"));
    if (used === undefined || used === address) return [];
    const message = `other nodes reach this node at ${address}, but its address is ${used}`;
    return [{ object: objectKey("Node", node.metadata), path: "status.addresses", message }];
  });
  return [...others, ...differentNetworks(own, node)];
}

function differentNetworks(own: NodeContext, { metadata, podCIDRs }: Node): Problem[] {
  if (podCIDRs.length === 0 || podCIDRs.toSorted().join() === own.podCIDRs.toSorted().join()) return [];
  const message = `other nodes send to this node's pods in ${podCIDRs.join(", ")}, but the agent uses ${own.podCIDRs.join(", ")}: restart it with the same pod CIDRs`;
  return [{ object: objectKey("Node", metadata), path: "spec.podCIDRs", message }];
}

/** Checks claims against rules that do not depend on other nodes. */
class Judge {
  readonly #special = SPECIAL.map(read);
  /** Networks on the devices of this node. */
  readonly #attached: readonly Cidr[];
  readonly #clusters: readonly Cidr[];
  readonly #nodes: readonly Cidr[] | undefined;

  constructor({ podCIDRs, attached = [], clusterCIDRs = [], nodeCIDRs }: NodeContext) {
    this.#attached = attached.map(read);
    const configured = clusterCIDRs.map(read);
    const derived = podCIDRs.map(read).map((cidr) => widen(cidr, CLUSTER_BITS));
    const isMissing = ({ family }: Cidr) => configured.every((one) => one.family !== family);
    this.#clusters = [...configured, ...derived.filter(isMissing)];
    this.#nodes = nodeCIDRs?.map(read);
  }

  /**
   * Returns the node with its accepted claims, and appends a problem for each refused one.
   * @param take accepts a claim, or returns the reason why another node's claim prevents it
   */
  bound(node: Node, take: (claim: NetworkClaim) => string | undefined, problems: Problem[]): Node {
    const owner = objectKey("Node", node.metadata);
    const keep = (path: string, texts: readonly string[], judge: (cidr: Cidr) => string | undefined, lost: string) =>
      texts.filter((text, index) => {
        const parsed = parseCidr(path.startsWith("status") ? single(text) : text);
        const fault = parsed.ok ? (judge(parsed.value) ?? take({ owner, cidr: parsed.value })) : "cannot be read";
        if (fault) problems.push({ object: owner, path: `${path}[${index}]`, message: `${text} ${fault}: ${lost}` });
        return fault === undefined;
      });
    const addresses = keep(
      "status.addresses",
      node.addresses,
      (cidr) => this.#faultOfAddress(cidr),
      "not reached there",
    );
    const podCIDRs = keep(
      "spec.podCIDRs",
      node.podCIDRs,
      (cidr) => this.#faultOfNetwork(cidr),
      "no pod is reached there",
    );
    const isWhole = addresses.length === node.addresses.length && podCIDRs.length === node.podCIDRs.length;
    return isWhole ? node : { ...node, addresses, podCIDRs };
  }

  #faultOfAddress(cidr: Cidr): string | undefined {
    if (this.#special.some((one) => overlap(one, cidr))) return "is no node's address";
    if (this.#nodes && !this.#nodes.some((one) => within(cidr, one))) return "is outside of the configured nodeCIDRs";
    return undefined;
  }

  #faultOfNetwork(cidr: Cidr): string | undefined {
    const clusters = this.#clusters.filter(({ family }) => family === cidr.family);
    if (clusters.length === 0) return `is of IPv${cidr.family}, of which this node's pods have nothing`;
    if (!clusters.some((one) => within(cidr, one))) {
      const names = clusters.map(format).join(", ");
      return `is outside of the cluster's pods' networks ${names} (clusterCIDRs in the agent's configuration)`;
    }
    return this.#attached.some((one) => overlap(one, cidr)) ? "overlaps a network of this node's devices" : undefined;
  }
}

const single = (address: string): string => `${address}/${address.includes(":") ? 128 : 32}`;

/** Parses an address or network that was validated before. */
function read(text: string): Cidr {
  const cidr = parseCidr(text);
  if (!cidr.ok) throw new Error(`read network: ${cidr.reason}`);
  return cidr.value;
}

function widen(cidr: Cidr, bits: number): Cidr {
  const prefix = Math.max(0, cidr.prefix - bits);
  const size = sizeOf({ ...cidr, prefix });
  return { ...cidr, prefix, base: cidr.base - (cidr.base % size) };
}

const within = (inner: Cidr, outer: Cidr): boolean => overlap(inner, outer) && inner.prefix >= outer.prefix;

/** The text form of a claim: an address, or a network. */
const textOf = ({ cidr }: NetworkClaim): string => {
  const isAddress = cidr.prefix === (cidr.family === 4 ? 32 : 128);
  return isAddress ? addressAt(cidr, 0n) : format(cidr);
};

const format = (cidr: Cidr): string => `${addressAt(cidr, 0n)}/${cidr.prefix}`;
