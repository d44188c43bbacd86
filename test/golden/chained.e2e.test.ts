import { afterAll, beforeAll, expect, test } from "vitest";
import { createCgroup, removeCgroup } from "../../src/kernel/index.ts";
import { type Answers, GoldenNode, OWN } from "./node.ts";
import { node, pod } from "./objects.ts";
import { changesText, listText, Records, topologyText } from "./record.ts";

/**
 * Golden outputs of an agent on another plugin's network, whose pods' devices Weir did not create, and of pods with
 * hostNetwork.
 */

const records = new Records("chained");
const world = new GoldenNode("golden-chained", ["192.0.2.1/24", "fd00:192::1/64"]);
const CGROUPS = `weir-t${process.pid}-golden`;
const made: string[] = [];
const LISTS = ["pods", "limits", "impairments", "programs", "ports", "chains", "problems", "endpoints"];
let answers: Answers;

/** Creates a pod's device as another network plugin would. */
function connect(name: string, ips: readonly string[]): void {
  const { lone } = world;
  lone.ip("node", "link", "add", `veth-${name}`, "type", "veth", "peer", "name", "eth0", "netns", lone.namespace(name));
  lone.ip("node", "link", "set", `veth-${name}`, "up");
  lone.ip(name, "link", "set", "eth0", "up");
  for (const ip of ips) lone.ip(name, "addr", "add", ip, "dev", "eth0", ...(ip.includes(":") ? ["nodad"] : []));
}

const A = ["10.87.7.2", "fd87:7::2"];
const B = ["10.87.7.3"];
const RULES = { bandwidth: "10 mbps egress; 20 mbps ingress", loss: "uniform egress 2%" };

beforeAll(async () => {
  const folder = createCgroup(CGROUPS);
  made.push(createCgroup(`${CGROUPS}/poduid-hosted`), folder);
  for (const name of ["a", "b"]) world.lone.add(name);
  connect("a", A);
  connect("b", B);
  world.put(
    node(OWN, ["192.0.2.1"], []),
    node("n2", ["192.0.2.2"], ["10.244.2.0/24"]),
    pod("a", { ips: A, annotations: RULES }),
    pod("b", { ips: B, labels: { rate: "5M" } }),
    pod("claims-b", { ips: B, annotations: RULES }),
    pod("lost", { ips: ["10.87.7.9"], annotations: RULES }),
    pod("unknown", { annotations: RULES }),
    pod("hosted", { hostNetwork: true, annotations: RULES }),
    pod("unfound", { hostNetwork: true, annotations: RULES }),
    pod("far", { node: "n2", ips: ["10.87.8.2"], annotations: RULES }),
  );
  await world.start({ mode: "chained", podCgroups: folder });
  answers = await world.answers();
});
afterAll(async () => {
  await world.close();
  for (const cgroup of made) removeCgroup(cgroup);
});

test.each(LISTS)("the list of %s", (kind) => records.is(`${kind}.yaml`, listText(kind, answers)));

test("the topology", () => records.is("topology.yaml", topologyText(answers)));

test("calls that this mode refuses", async () => {
  const { status, body } = await world.call("PUT", "/v1/endpoints/shop/b", { uid: "u", netns: "/run/netns/x" });
  await records.is("calls.txt", `${status} ${body}\n`);
});

test("steps", async () => {
  const texts: string[] = [];
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    await run();
    const after = await world.answers();
    texts.push(`== ${name}\n${changesText(answers, after)}`);
    answers = after;
  };
  const problems = async () =>
    (await world.lone.client.list("problems")).map(({ object, message }) => `${object} ${message}`);
  const devices = async () => (await world.lone.client.list("pods")).map(({ name, device }) => `${name} ${device}`);
  await step("a pod's limit is another, and a pod in the node's network has no rules any more", () => {
    world.put(pod("a", { ips: A, annotations: { bandwidth: "1 mbps egress" } }), pod("hosted", { hostNetwork: true }));
    return world.apply();
  });
  await step("a pod's device goes", async () => {
    world.lone.ip("node", "link", "del", "veth-a");
    await expect.poll(problems).toContainEqual(expect.stringMatching(/^Pod\/shop\/a its rules are not enforced/));
  });
  await step("it comes again", async () => {
    connect("a", A);
    await expect.poll(devices).toContain("a veth-a");
  });
  await step("a pod goes whose device another one claims", () => {
    world.drop("Pod/shop/b");
    return world.apply();
  });
  await records.is("steps.txt", texts.join("\n"));
});

test("every record belongs to a test", () => records.areAll());
