import type { Endpoint } from "../../model/cluster.ts";
import { DEFAULT_RULE_SETTINGS } from "../../model/limits.ts";
import type { ManifestObject } from "../../model/objects.ts";
import { apiVersion } from "../../model/version.ts";
import { type LastGood, reduceCluster } from "../../sources/cluster.ts";
import { parseManifests } from "../../sources/manifests/index.ts";
import { plan } from "../plan.ts";

// usage: npm run plan-cost      prints the CPU that planning one change costs, ms, with rules on 500 pods

const PODS = 500;
const NAMESPACES = 10;
const APPS = 50;
const WARM_UP = 30;
const CHANGES = 100;
const NODE = {
  name: "node-1",
  overlay: "vxlan" as const,
  addresses: ["192.168.0.1"],
  podCIDRs: ["10.244.0.0/16"],
  uplink: "eth0",
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};

const namespaceOf = (index: number) => `n${index % NAMESPACES}`;
const addressOf = (index: number) => `10.244.${index >> 8}.${index & 255}`;

function pod(index: number, rate: number, app = index % APPS): object {
  const annotations = { bandwidth: `${rate} mbps egress; 50 mbps ingress`, loss: "uniform egress 1%" };
  const metadata = { name: `p${index}`, namespace: namespaceOf(index), uid: `u${index}`, labels: { app: `a${app}` } };
  const spec = { nodeName: NODE.name, containers: [{ name: "c" }] };
  return { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, annotations }, spec };
}

function impairment(index: number, duplicate: number, peers: object): object {
  const metadata = { name: `i${index}`, namespace: namespaceOf(index) };
  const selector = { matchLabels: { app: `a${index}` } };
  const spec = { selector, duplicate: `${duplicate}%`, match: { peers: [peers] } };
  return { apiVersion, kind: "Impairment", metadata, spec };
}

function read(objects: readonly object[]): ManifestObject[] {
  const { objects: placed, problems } = parseManifests(
    JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
    "",
  );
  if (problems.length > 0) throw new Error(`read objects: ${JSON.stringify(problems[0])}`);
  return placed.map(({ object }) => object);
}

function endpoint(index: number): Endpoint {
  const [namespace, name] = [namespaceOf(index), `p${index}`];
  const mac = `02:00:00:00:00:${(index & 255).toString(16).padStart(2, "0")}`;
  const netns = `/run/netns/${name}`;
  return {
    namespace,
    name,
    uid: `u${index}`,
    netns,
    ifname: "eth0",
    device: `weir${index}`,
    mac,
    ips: [addressOf(index)],
  };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** CPU of each of the changes, ms, sorted, and how many rows are planned. */
function measure(impairments: number, peers: object, change: (turn: number) => { at: number; object: object }) {
  const endpoints = numbers(PODS).map(endpoint);
  const objects = read([
    ...numbers(PODS).map((index) => pod(index, 10)),
    ...numbers(impairments).map((index) => impairment(index, 1, peers)),
  ]);
  let lastGood: LastGood = new Map();
  let rows = 0;
  const pass = (): void => {
    const input = { node: NODE, objects, endpoints, problems: [], settings: DEFAULT_RULE_SETTINGS };
    const reduced = reduceCluster(lastGood, input);
    lastGood = reduced.lastGood;
    rows = plan(reduced.state).rows.length;
  };
  pass();
  const costs = numbers(WARM_UP + CHANGES).map((turn) => {
    const { at, object } = change(turn);
    objects.splice(at, 1, ...read([object]));
    const begin = process.cpuUsage();
    pass();
    const { user, system } = process.cpuUsage(begin);
    return (user + system) / 1000;
  });
  return { costs: costs.slice(WARM_UP).toSorted((a, b) => a - b), rows };
}

const ANY = { cidr: "10.0.0.0/8" };
const rate = (turn: number) => ({ at: (turn * 37) % PODS, object: pod((turn * 37) % PODS, 11 + turn) });
const label = (turn: number) => ({ at: (turn * 37) % PODS, object: pod((turn * 37) % PODS, 10, turn % APPS) });
const cases: [what: string, impairments: number, peers: object, change: typeof rate][] = [
  ["a pod's rate; limits and losses alone", 0, ANY, rate],
  ["a pod's rate; 50 Impairments, each of ten pods", APPS, ANY, rate],
  ["a pod's label; 50 Impairments, each of ten pods", APPS, ANY, label],
  [
    "an Impairment of ten pods",
    APPS,
    ANY,
    (turn) => ({ at: PODS + (turn % APPS), object: impairment(turn % APPS, 2 + (turn % 90), ANY) }),
  ],
  ["a pod's rate; 50 Impairments narrowed to 50 pods each", APPS, { podSelector: {} }, rate],
];
for (const [what, impairments, peers, change] of cases) {
  const { costs, rows } = measure(impairments, peers, change);
  const [median = 0, p90 = 0] = [costs[CHANGES / 2], costs[CHANGES * 0.9]];
  process.stdout.write(`${median.toFixed(1)} ms, 90 % under ${p90.toFixed(1)} ms: ${what} (${rows} rows)\n`);
}
