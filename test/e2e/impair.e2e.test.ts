import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { attempt } from "../../src/bench/weir.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { lab, WEIR } from "./lab.ts";

interface Receipt {
  pod: string;
  direction: string;
  source: string;
  state: string;
  packets: number;
  lost: number;
  remaining: number | null;
}

const PACKETS = 100_000;
/** Probability with which a correct build fails. */
const UNLIKELY = 1e-4;
const A = { name: "a", node: "node-1", labels: { app: "a" } };
const B = { name: "b", node: "node-2", labels: { app: "b" } };

const impairment = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: "weir.dev/v1alpha1", kind: "Impairment", metadata: { name }, spec });

describe("impairments in a lab", () => {
  const fixture = lab({ nodes: 2, overlay: "vxlan", pods: [A, B] });
  const receipts = () => fixture.stage.get<Receipt>("impairments");

  /** Replies to pings from a to b, of ten. */
  async function replies(family: 4 | 6 = 4): Promise<number> {
    const { stage } = fixture;
    const ping = ["ping", "-n", "-q", "-c", "10", "-i", "0.02", "-W", "1", stage.ip("b", family)];
    const { stdout } = await stage.attemptExec("a", ping);
    return Number(/(\d+) received/.exec(stdout)?.[1]);
  }

  test.each([
    { family: 4, pod: A, direction: "egress", loss: "uniform egress 2%", p: 0.02 },
    { family: 6, pod: B, direction: "ingress", loss: "exponential ingress 300", p: Math.exp(-1.5) },
  ] as const)("$loss over $family: as many of 100,000 datagrams across nodes as it says", async (one) => {
    const { stage } = fixture;
    const other = one.pod.name === "a" ? B : A;
    await stage.apply([{ ...one.pod, annotations: { loss: one.loss } }, other]);
    // Without a receiver there is no handshake that could be lost; an ICMP error makes one send fail, so it is
    // repeated.
    const send = `for ((i = 0; i < ${PACKETS}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
    await stage.exec("a", ["bash", "-c", `exec 3>/dev/udp/${stage.ip("b", one.family)}/9; ${send}`], 60_000);
    const found = (await receipts()).filter(
      ({ pod, direction }) => pod === one.pod.name && direction === one.direction,
    );
    expect(found).toMatchObject([{ source: "loss", state: "active" }]);
    const [{ packets = 0, lost = 0 } = {}] = found;
    expect(packets).toBeGreaterThanOrEqual(PACKETS);
    expect(binomialTest(lost, packets, one.p)).toBeGreaterThan(UNLIKELY);
    await stage.apply([A, B]);
    expect(await receipts()).toEqual([]);
  });

  test("an Impairment is in force when the command returns, and removed when the delete command returns", async () => {
    const { stage } = fixture;
    const text = impairment("cut", { selector: { matchLabels: { app: "a" } }, direction: "egress", loss: "100%" });
    await stage.applyText(text);
    expect(await receipts()).toMatchObject([{ pod: "a", direction: "egress", state: "active" }]);
    expect([await replies(), await replies(6)]).toEqual([0, 0]);
    await stage.deleteText(text);
    expect(await receipts()).toEqual([]);
    expect([await replies(), await replies(6)]).toEqual([10, 10]);
  });

  test("narrowed to a Service, it does not affect other traffic; the Service's pods are found on other nodes", async () => {
    const { stage } = fixture;
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "b" }, spec: { selector: { app: "b" } } };
    await stage.applyText(JSON.stringify(service));
    const match = { peers: [{ service: { name: "b" } }] };
    const text = impairment("cut", { pod: "a", loss: "100%", match });
    await stage.applyText(text);
    expect([await replies(), await replies(6)]).toEqual([0, 0]);
    await stage.applyText(impairment("cut", { pod: "a", loss: "100%", match: { ports: [{ protocol: "UDP" }] } }));
    expect([await replies(), await replies(6)]).toEqual([10, 10]);
    await stage.deleteText(text);
  });

  test("weir verify generates traffic and verifies each effect with it", async () => {
    const { stage } = fixture;
    const burst = { p: "2%", r: "50%", lossGood: "0%", lossBad: "100%" };
    const rule = impairment("proven", { pod: "a", loss: { burst }, duplicate: "5%", corrupt: "5%" });
    await stage.applyText(rule);
    const argv = ["verify", "a", "--lab", stage.name, "-o", "json"];
    const { stdout } = await attempt([...WEIR, ...argv, "--traffic", "--for", "2s"]);
    const said = JSON.parse(stdout);
    const effects = ["loss", "burst length", "corrupt", "duplicate"];
    const items = effects.map((effect) => ({ effect, verdict: "proven" }));
    expect(said).toMatchObject({ proven: true, items: [...items, ...items] });
    await stage.deleteText(rule);
  });

  test("an invalid Impairment is refused with its field, and no packet is lost", async () => {
    const { code, stderr } = await fixture.stage.attemptApply(impairment("bad", { pod: "a", loss: "200%" }));
    expect(code).toBe(1);
    expect(stderr).toContain("spec.loss");
    expect(await replies()).toBe(10);
  });

  test("an Impairment with a lease ends by itself when all processes of Weir are killed", async () => {
    const { stage } = fixture;
    const LEASE = 4;
    await stage.applyText(impairment("cut", { pod: "a", direction: "egress", loss: "100%", lease: `${LEASE}s` }));
    await sleep(1.5 * LEASE * 1000);
    expect(await replies()).toBe(0); // The lease has been renewed until now.
    const netns = (await stage.get<{ name: string; netns: string }>("endpoints")).find(
      ({ name }) => name === "a",
    )?.netns;
    const ping = ["nsenter", `--net=${netns}`, "--", "ping", "-n", "-c", "1", "-W", "0.2", stage.ip("b", 4)];
    const inside = () => attempt(ping);
    await stage.killAll();
    expect((await inside()).code).toBe(1);
    await expect.poll(async () => (await inside()).code, { timeout: 60_000, interval: 50 }).toBe(0);
  });
});
