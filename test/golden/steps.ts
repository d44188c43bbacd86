import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apiVersion } from "../../src/model/version.ts";
import { type GoldenNode, OWN } from "./node.ts";
import type { Fields } from "./normal.ts";
import { impairment, limit, node, pod, slice } from "./objects.ts";
import { PROGRAMS } from "./world.ts";

/** Edits of the world in sequence; the changes of the answers after each one are recorded. */

export interface Step {
  name: string;
  run(world: GoldenNode): Promise<void>;
}

/** Writes objects. */
const put = (name: string, ...objects: readonly object[]): Step => ({
  name,
  async run(world) {
    world.put(...objects);
    await world.apply();
  },
});

const drop = (name: string, ...keys: readonly string[]): Step => ({
  name,
  async run(world) {
    world.drop(...keys);
    await world.apply();
  },
});

/** Changes annotations and labels of an object; undefined ones are removed. */
const edit = (name: string, key: string, maps: Readonly<Record<string, Readonly<Fields>>>): Step => ({
  name,
  async run(world) {
    const object = world.object(key);
    const metadata = object["metadata"] as Record<string, Fields>;
    for (const [map, fields] of Object.entries(maps)) {
      const all = Object.entries({ ...metadata[map], ...fields }).filter(([, value]) => value !== undefined);
      metadata[map] = Object.fromEntries(all);
    }
    world.put(object);
    await world.apply();
  },
});

const call = (name: string, method: string, path: string, body?: unknown): Step => ({
  name,
  async run(world) {
    const answer = await world.call(method, path, body);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`);
  },
});

/** A changed list of programs takes effect without another edit: waits for a value that only the new list gives. */
function list(world: GoldenNode, programs: readonly object[]): void {
  const file = join(world.lone.folder, "programs", "programs.yaml");
  writeFileSync(`${file}.new`, JSON.stringify({ apiVersion, kind: "ProgramList", programs }));
  renameSync(`${file}.new`, file);
}

export const STEPS: readonly Step[] = [
  // a pod's own rules
  edit("a limit is raised", "Pod/shop/web", { annotations: { bandwidth: "12 mbps egress; 20 mbps ingress" } }),
  edit("a limit and a loss are broken", "Pod/shop/web", { annotations: { bandwidth: "12 mbits", loss: "uniform 2%" } }),
  {
    name: "the agent ends, and another one starts",
    async run(world) {
      await world.lone.stop("SIGKILL");
      await world.restart();
    },
  },
  edit("they go", "Pod/shop/web", { annotations: { bandwidth: undefined, loss: undefined } }),
  edit("a label goes that another key disagreed with", "Pod/shop/db", { labels: { rate: undefined } }),
  edit("a pod without rules gets one of each kind", "Pod/other/client", {
    annotations: { bandwidth: "3 mbps ingress", loss: "uniform ingress 4%", "ebpf-limit": "drop-one-of egress -DN=7" },
  }),
  // programs
  edit("a program gets another macro", "Pod/shop/prog", { annotations: { "ebpf-limit": "drop-one-of egress -DN=20" } }),
  edit("a program is asked for with a macro that is too large", "Pod/shop/prog", {
    annotations: { "ebpf-limit": "drop-one-of egress -DN=20000" },
  }),
  {
    name: "a program leaves the administrator's list",
    async run(world) {
      list(world, PROGRAMS.programs.slice(0, 1));
      await world.apply();
    },
  },
  // the life of a pod
  drop("a pod's object goes before its network", "Pod/shop/db"),
  put("it is there again, another pod of the same name", pod("db", { uid: "uid-db-2", labels: { app: "db" } })),
  call("the old one's network goes", "DELETE", "/v1/endpoints/shop/db?uid=uid-db"),
  {
    name: "the new one gets its own",
    async run(world) {
      await world.attach("shop", "db", "uid-db-2");
    },
  },
  put(
    "a pod has ended and keeps its network",
    pod("typo", { phase: "Succeeded", annotations: { bandwidth: "1 mbps egress" } }),
  ),
  call("its network goes", "DELETE", "/v1/endpoints/shop/typo"),
  call("the network of a pod without an object goes", "DELETE", "/v1/endpoints/other/lonely"),
  // whom objects choose
  edit("labels make a pod another object's", "Pod/shop/plain", { labels: { tier: "front" } }),
  put("a Limit's selector is another", limit("front", { selector: { matchLabels: { app: "cache" } }, egress: "9M" })),
  drop("two Limits of one pod go", "Limit/shop/cache-a", "Limit/shop/front"),
  edit("a Service's value is mended", "Service/shop/back", { annotations: { "kubernetes.io/egress-bandwidth": "6M" } }),
  drop("a Service goes", "Service/shop/web"),
  put("a Service that is a peer has other addresses", slice("outside", ["198.51.100.8", "198.51.100.9"])),
  put(
    "an Impairment is for other packets",
    impairment("burst", {
      ...{ pod: "web", loss: { exponential: { threshold: 900 } }, lease: "20s" },
      match: { peers: [{ service: { name: "outside" } }], ports: [{ protocol: "UDP", port: 53 }] },
    }),
  ),
  put(
    "an Impairment holds packets",
    impairment("held", { pod: "web", direction: "egress", delay: { latency: "5ms" } }),
  ),
  drop("an Impairment that came before others goes", "Impairment/shop/override"),
  // the API
  call("an object is given to the agent", "PUT", "/v1/objects", {
    items: [impairment("first", { pod: "web", loss: "9%", override: true, direction: "egress" })],
  }),
  call("it is given another value", "PUT", "/v1/objects", {
    items: [impairment("first", { pod: "web", loss: "8%", override: true, direction: "egress" })],
  }),
  call("it is taken back", "DELETE", "/v1/objects/Impairment/shop/first"),
  call("one that the folder has too is taken back", "DELETE", "/v1/objects/Limit/shop/all"),
  // nodes
  put("a node comes", node("n9", ["192.0.2.9", "fd00:192::9"], ["10.244.9.0/24", "fd00:10:244:9::/64"], 9)),
  put("a node has other addresses", node("n9", ["192.0.2.19", "fd00:192::19"], ["10.244.9.0/24"], 9)),
  drop("a node goes whose networks another one claims", "Node/n2"),
  put("the node itself is told another address", node(OWN, ["192.0.2.99", "fd00:192::1"], ["10.244.1.0/24"], 5)),
  // files
  {
    name: "a file that is no YAML comes",
    async run(world) {
      world.lone.writeText("z-broken", "{ this: [is: not");
      await world.apply();
    },
  },
  {
    name: "it is mended: a pod is written twice",
    async run(world) {
      world.lone.write("z-broken", pod("plain", { annotations: { bandwidth: "8 mbps egress" } }));
      await world.apply();
    },
  },
];
