import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { kinds } from "../../src/api/kinds.ts";
import { callsText } from "./calls.ts";
import { kernelText } from "./kernel.ts";
import { type Answers, GoldenNode } from "./node.ts";
import { changesText, listText, metricsText, Records, topologyText } from "./record.ts";
import { STEPS } from "./steps.ts";
import { ADDRESSES, APPLIED, ATTACHED, PROGRAMS, WORLD } from "./world.ts";

/**
 * All outputs of an agent that users can read, compared with files. `npx vitest run --project=e2e test/golden -u`
 * writes them.
 */

const records = new Records("vxlan");
const world = new GoldenNode("golden", ADDRESSES);
const LISTS = kinds.map(({ name }) => name).filter((name) => name !== "topology");
let answers: Answers;

beforeAll(async () => {
  world.put(...WORLD);
  await world.start({ programs: world.programs(PROGRAMS) });
  for (const [namespace, name] of ATTACHED) expect((await world.attach(namespace, name)).status).toBe(201);
  expect((await world.call("PUT", "/v1/objects", { items: APPLIED })).status).toBe(200);
  await world.apply();
  // No pod has this address: the packet is dropped.
  world.inPod("shop", "plain", "bash", "-c", "echo x > /dev/udp/10.244.1.200/9");
  const dropped = async () => (await world.lone.client.list("drops")).some(({ reason }) => reason === "no_route");
  await vi.waitUntil(dropped, { timeout: 60_000, interval: 20 });
  answers = await world.answers();
});
afterAll(() => world.close());

test.each(LISTS)("the list of %s", (kind) => records.is(`${kind}.yaml`, listText(kind, answers)));

test("the topology", () => records.is("topology.yaml", topologyText(answers)));

test("metrics", async () => records.is("metrics.txt", metricsText(await world.metrics())));

test("devices and routes", () => records.is("kernel.txt", kernelText(world, ATTACHED.slice(0, 2))));

const SHOWN = [
  ...[["status"], ["status", "-o", "wide"], ["status", "-o", "yaml"]],
  ...kinds.flatMap(({ name }) => [["get", name]]),
  ...["pods", "limits", "impairments", "programs", "ports", "endpoints"].map((kind) => ["get", kind, "-o", "wide"]),
  ...[
    ["get", "pods", "web", "-n", "shop", "-o", "yaml"],
    ["get", "limits", "-n", "other"],
    ["get", "endpoint", "client"],
  ],
  ...[
    ["get", "pods", "nowhere"],
    ["get", "objects", "given"],
    ["get", "nonsense"],
  ],
  ...["web", "ruled", "prog", "lonely", "far"].map((pod) => ["verify", pod, "-n", "shop"]),
  ["verify", "plain", "-n", "shop", "-o", "json"],
];

test("commands that show", async () => {
  const texts: string[] = [];
  const doctor = ["doctor", "--socket", join(world.lone.folder, "run", "agent.sock")];
  for (const argv of [...SHOWN, doctor]) texts.push(await world.run(...argv));
  await records.is("shown.txt", texts.join("\n"));
});

test.each(kinds.map(({ name }) => name))("`weir get %s -o json` prints what the API answers", async (kind) => {
  const [, text = ""] = (await world.run("get", kind, "-o", "json")).split(/^\$.*\n/);
  const order = (items: unknown[]): string[] => items.map((item) => JSON.stringify(item)).toSorted();
  const expected = kind === "topology" ? [answers[kind]] : (answers[kind]?.["items"] as unknown[]);
  expect(order(JSON.parse(text).items)).toEqual(order(expected));
});

test("calls that no list shows", async () => records.is("calls.txt", await callsText(world)));

/** Commands that change something, and undo it. */
const DONE = [
  ...[
    ["diff", "-f", "given.json"],
    ["apply", "--dry-run", "-f", "given.json"],
    ["apply", "-f", "given.json"],
  ],
  ...[
    ["apply", "-f", "given.json"],
    ["diff", "-f", "wrong.json"],
    ["apply", "-f", "wrong.json"],
  ],
  ...[
    ["delete", "limit/made", "-n", "shop", "--dry-run"],
    ["delete", "-f", "given.json"],
    ["delete", "Nothing/x"],
  ],
  ["impair", "web", "-n", "shop", "--direction", "egress", "--loss", "3%", "--for", "30s"],
  ["impair", "plain", "-n", "shop", "--loss", "burst p=1% r=20%", "--peer", "10.0.0.0/8", "--for", "30s"],
  ["impair", "ruled", "-n", "shop", "--corrupt", "1%", "--override", "--port", "53/UDP", "--for", "1m"],
  ["impair", "far", "-n", "shop", "--loss", "3%", "--for", "30s"],
  ["impair", "web", "-n", "shop", "--jitter", "3ms", "--loss", "1%", "--for", "30s"],
];

test("commands that change", async () => {
  const made = { apiVersion: "weir.dev/v1alpha1", metadata: { namespace: "shop", name: "made" } };
  const files = {
    given: [
      { ...made, kind: "Limit", spec: { pod: "plain", ingress: "4M" } },
      { ...made, kind: "Impairment", spec: { pod: "nowhere", loss: "1%" } },
    ],
    wrong: [{ ...made, kind: "Limit", spec: { pod: "plain", ingress: "fast" } }],
  };
  for (const [name, items] of Object.entries(files)) {
    writeFileSync(join(world.lone.folder, `${name}.json`), JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }
  const texts: string[] = [];
  for (const argv of DONE) texts.push(await world.oneOff(...argv));
  await records.is("changed.txt", texts.join("\n"));
  expect(changesText(answers, await world.answers())).toBe("nothing\n");
});

test("steps", async () => {
  let before = answers;
  const texts: string[] = [];
  for (const { name, run } of STEPS) {
    await run(world);
    const after = await world.answers();
    texts.push(`== ${name}\n${changesText(before, after)}`);
    before = after;
  }
  await records.is("steps.txt", texts.join("\n"));
});

test("what `weir uninstall` would remove", async () => {
  const at = (name: string): string => join(world.lone.folder, name);
  const flags = ["--bpffs", at("bpf"), "--state", at("state"), "--socket", at("agent.sock")];
  const lines = world.onNode("uninstall", "--plan", ...flags).split("\n");
  await records.is("uninstall.txt", lines.filter((line) => !line.includes("weir_delay")).join("\n"));
});

test("every record belongs to a test", () => records.areAll());
