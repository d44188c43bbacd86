import { afterAll, beforeAll, expect, test } from "vitest";
import { ControlPlane } from "../control-plane/control-plane.ts";

let plane: ControlPlane;
beforeAll(async () => {
  plane = await ControlPlane.start();
  await plane.installDefinitions();
});
afterAll(() => plane?.close());

const object = (kind: string, spec: object) =>
  JSON.stringify({ apiVersion: "weir.dev/v1alpha1", kind, metadata: { name: "x", namespace: "default" }, spec });
const impairment = (spec: object) => object("Impairment", { pod: "a", direction: "egress", ...spec });
const limit = (spec: object) => object("Limit", { pod: "a", ...spec });

test.each([
  ["a loss of more than all", impairment({ loss: "101%" }), "spec.loss"],
  ["a loss that is no percentage", impairment({ loss: "much" }), "spec.loss"],
  [
    "two models of loss",
    impairment({ loss: { exponential: { threshold: 3 }, burst: { p: "1%", r: "2%" } } }),
    "spec.loss",
  ],
  ["a probability of a burst", impairment({ loss: { burst: { p: "1", r: "2%" } } }), "spec.loss.burst.p"],
  ["another direction", impairment({ direction: "up", loss: "1%" }), "spec.direction"],
  ["jitter beyond its delay", impairment({ delay: { latency: "10ms", jitter: "20ms" } }), "spec.delay.jitter"],
  [
    "a network with host bits",
    impairment({ loss: "1%", match: { peers: [{ cidr: "10.0.0.1/8" }] } }),
    "spec.match.peers[0].cidr",
  ],
  [
    "a network left out of another",
    impairment({ loss: "1%", match: { peers: [{ cidr: "10.0.0.0/8", except: ["10.1.0.0/16", "11.0.0.0/16"] }] } }),
    "spec.match.peers[0].except",
  ],
  [
    "a network left out of one of the other family",
    impairment({ loss: "1%", match: { peers: [{ cidr: "fd00::/8", except: ["10.1.0.0/16"] }] } }),
    "spec.match.peers[0].except",
  ],
  [
    "a port of a protocol without",
    impairment({ loss: "1%", match: { ports: [{ protocol: "GRE" }] } }),
    "spec.match.ports[0].protocol",
  ],
  ["a lease that is too short", impairment({ loss: "1%", lease: "1ms" }), "spec.lease"],
  ["an end that is no time", impairment({ loss: "1%", until: "tomorrow" }), "spec.until"],
  ["an end that is a list", impairment({ loss: "1%", until: [{}] }), "spec.until"],
  ["no effect", impairment({}), "spec"],
  ["two choices of pods", impairment({ loss: "1%", service: "b" }), "spec"],
  ["a field that is none", impairment({ loss: "1%", los: "2%" }), "spec.los"],
  ["a rate that is none", limit({ egress: "fast" }), "spec.egress"],
  ["a limit without a direction", limit({}), "spec"],
])("kubectl apply of %s is refused by the server, with the field", async (_, input, field) => {
  const { code, err, out } = await plane.kubectl(["apply", "-f", "-"], { input });
  expect(out).toBe("");
  expect(code).toBe(1);
  expect(err).toMatch(new RegExp(`(^|[\\s"])${field.replaceAll(/[.[\]]/g, "\\$&")}[:\\s"]`));
});

test.each<[string, object, string]>([
  ["a number as loss", { loss: 5 }, 'a percentage such as \\"2%\\"'],
  ["a list as loss", { loss: [5] }, 'a percentage such as \\"2%\\"'],
  ["a boolean as loss", { loss: true }, 'a percentage such as \\"2%\\"'],
  ["a share without its sign", { duplicate: "5" }, "must be 0% to 100%, such as 2%"],
  ["a delay without its unit", { delay: { latency: "50" } }, "must be 1us to 10s"],
  ["a delay that is no map", { delay: "50ms" }, "object"],
  ["a pace in small letters", { pace: "10m" }, "must be 8k to 1T"],
])("the server's error says what to write instead of %s", async (_, spec, words) => {
  const { err } = await plane.kubectl(["apply", "-f", "-"], { input: impairment(spec) });
  expect(err).toContain(words);
});

test("valid objects are accepted, and an invalid edit is refused", async () => {
  await plane.must(["apply", "-f", "-"], { input: impairment({ loss: "1%" }) });
  const patch = ["patch", "impairment", "x", "--type=merge", "-p"];
  expect((await plane.kubectl([...patch, '{"spec":{"loss":"1"}}'])).err).toContain("spec.loss");
  expect(await plane.must(["get", "impairment", "x", "-o", "jsonpath={.spec.loss}"])).toBe("1%");
});
