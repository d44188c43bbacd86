import { afterAll, beforeAll, expect, test } from "vitest";
import { kernelText } from "./kernel.ts";
import { type Answers, GoldenNode, OWN } from "./node.ts";
import { node, pod } from "./objects.ts";
import { changesText, listText, Records, topologyText } from "./record.ts";

/** Golden outputs of a node that reaches other nodes' pods by routes: only those that differ. */

const records = new Records("direct");
const world = new GoldenNode("golden-direct", ["192.0.2.1/24", "fd00:192::1/64"]);
const PODS = [
  ["shop", "web"],
  ["shop", "db"],
] as const;
let answers: Answers;

beforeAll(async () => {
  world.put(
    node(OWN, ["192.0.2.1", "fd00:192::1"], ["10.244.1.0/24", "fd00:10:244:1::/64"], 1),
    node("n2", ["192.0.2.2", "fd00:192::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"], 2),
    node("n3", ["192.0.2.3"], ["10.244.3.0/24"], 3),
    node("n4", ["fd00:192::4"], ["10.244.4.0/24", "fd00:10:244:4::/64"], 4),
    node("takes-n2", ["192.0.2.5"], ["10.244.2.0/25"], 5),
    pod("web", { annotations: { bandwidth: "10 mbps egress; 20 mbps ingress", loss: "uniform ingress 1%" } }),
    pod("db"),
  );
  await world.start({ overlay: "direct" });
  for (const [namespace, name] of PODS) expect((await world.attach(namespace, name)).status).toBe(201);
  answers = await world.answers();
});
afterAll(() => world.close());

test.each(["ports", "chains", "limits", "problems"])("the list of %s", (kind) =>
  records.is(`${kind}.yaml`, listText(kind, answers)),
);

test("the topology", () => records.is("topology.yaml", topologyText(answers)));

test("devices and routes", () => records.is("kernel.txt", kernelText(world, PODS)));

test("steps", async () => {
  const texts: string[] = [];
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    await run();
    const after = await world.answers();
    texts.push(`== ${name}\n${changesText(answers, after)}\n${kernelText(world, [])}`);
    answers = after;
  };
  await step("a node has another address", () => {
    world.put(node("n2", ["192.0.2.22", "fd00:192::2"], ["10.244.2.0/24", "fd00:10:244:2::/64"], 2));
    return world.apply();
  });
  await step("a node goes", () => {
    world.drop("Node/n3");
    return world.apply();
  });
  await step("a pod goes", async () => {
    world.drop("Pod/shop/web");
    await world.call("DELETE", "/v1/endpoints/shop/web");
    await world.apply();
  });
  await records.is("steps.txt", texts.join("\n"));
});

test("every record belongs to a test", () => records.areAll());
