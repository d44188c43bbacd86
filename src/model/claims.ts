import { addressAt, type Cidr, overlap, parseCidr, sizeOf } from "./addresses.ts";
import type { NodeContext } from "./cluster.ts";
import { latest } from "./memo.ts";
import { objectKey } from "./names.ts";
import type { Node, Problem } from "./objects.ts";

/**
 * A node says itself where its pods and its tunnel are, and may say anything. What it claims is taken only as far as it
 * lies within the cluster's networks and takes nothing from this node or from one that is older.
 */

/** A network that is somebody's. */
interface Claim {
  owner: string;
  text: string;
  cidr: Cidr;
}

/** How many bits wider than a node's own pod CIDR the cluster's is unless configured: room for 256 nodes. */
const CLUSTER_BITS = 8;

/** Of no node: unspecified, loopback, link-local, multicast and reserved. */
const SPECIAL = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8"];

/** Nodes with what is taken of other nodes' claims, in the order given, and why the rest is not. Pure. */
export const boundNodes = latest(
  (own: NodeContext, nodes: readonly Node[]): { nodes: readonly Node[]; problems: readonly Problem[] } => {
    if (own.mode === "chained") return { nodes, problems: [] }; // no network is Weir's
    const judge = new Judge(own);
    const problems: Problem[] = [];
    const taken = new Map<Node, Node>();
    for (const node of nodes.toSorted(byAge)) {
      if (node.metadata.name === own.name) problems.push(...differences(own, node));
      else taken.set(node, judge.bound(node, problems));
    }
    return { nodes: nodes.map((node) => taken.get(node) ?? node), problems };
  },
);

/** Who came first, as far as the API server tells; a name decides where it does not. */
function byAge(a: Node, b: Node): number {
  const [one, other] = [a, b].map(({ createdAt = "", metadata }) => `${createdAt} ${metadata.name}`) as [
    string,
    string,
  ];
  return one < other ? -1 : 1;
}

/** Other nodes send to where the Node object says. */
function differences(own: NodeContext, node: Node): Problem[] {
  const others = node.addresses.flatMap((address) => {
    const used = own.addresses.find((one) => single(one).endsWith("/32") === single(address).endsWith("/32"));
    if (used === undefined || used === address) return [];
    const message = `other nodes reach this one by ${address}, and its address is ${used}`;
    return [{ object: objectKey("Node", node.metadata), path: "status.addresses", message }];
  });
  return [...others, ...differentNetworks(own, node)];
}

function differentNetworks(own: NodeContext, { metadata, podCIDRs }: Node): Problem[] {
  if (podCIDRs.length === 0 || podCIDRs.toSorted().join() === own.podCIDRs.toSorted().join()) return [];
  const message = `other nodes look for this node's pods in ${podCIDRs.join(", ")}, and they are in ${own.podCIDRs.join(", ")} until the agent starts anew with the same`;
  return [{ object: objectKey("Node", metadata), path: "spec.podCIDRs", message }];
}

class Judge {
  readonly #claims = new Claims();
  readonly #special = SPECIAL.map(read);
  /** Networks on the node's own devices. */
  readonly #attached: readonly Cidr[];
  readonly #clusters: readonly Cidr[];
  readonly #nodes: readonly Cidr[] | undefined;

  constructor({ name, addresses, podCIDRs, attached = [], clusterCIDRs = [], nodeCIDRs }: NodeContext) {
    const owner = `Node/${name}`;
    for (const text of addresses) this.#claims.add({ owner, text, cidr: read(single(text)) });
    for (const text of podCIDRs) this.#claims.add({ owner, text, cidr: read(text) });
    this.#attached = attached.map(read);
    const configured = clusterCIDRs.map(read);
    const derived = podCIDRs.map(read).map((cidr) => widen(cidr, CLUSTER_BITS));
    const isMissing = ({ family }: Cidr) => configured.every((one) => one.family !== family);
    this.#clusters = [...configured, ...derived.filter(isMissing)];
    this.#nodes = nodeCIDRs?.map(read);
  }

  /** The node with what is its; of the rest problems say why not. */
  bound(node: Node, problems: Problem[]): Node {
    const owner = objectKey("Node", node.metadata);
    const keep = (path: string, texts: readonly string[], judge: (cidr: Cidr) => string | undefined, lost: string) =>
      texts.filter((text, index) => {
        const claim = { owner, text, cidr: read(path.startsWith("status") ? single(text) : text) };
        const fault = judge(claim.cidr) ?? this.#take(claim);
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

  #take(claim: Claim): string | undefined {
    const other = this.#claims.add(claim);
    if (!other) return undefined;
    const what = other.text === claim.text ? "is already" : `overlaps ${other.text},`;
    return `${what} ${other.owner === claim.owner ? "its own" : `${other.owner}'s`}`;
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

/** Networks of which no two overlap, sorted by their first address. */
class Claims {
  readonly #sorted = { 4: [] as Claim[], 6: [] as Claim[] };

  /** Adds a claim, or gives an older one that it overlaps. */
  add(claim: Claim): Claim | undefined {
    const list = this.#sorted[claim.cidr.family];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as Claim).cidr.base <= claim.cidr.base) low = middle + 1;
      else high = middle;
    }
    const other = [list[low - 1], list[low]].find((one) => one && overlap(one.cidr, claim.cidr));
    if (!other) list.splice(low, 0, claim);
    return other;
  }
}

const single = (address: string): string => `${address}/${address.includes(":") ? 128 : 32}`;

/** Of what was read before as an address or a network. */
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

const format = (cidr: Cidr): string => `${addressAt(cidr, 0n)}/${cidr.prefix}`;
