import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { trafficCommands } from "../../src/bench/pods.ts";
import { attempt, start } from "../../src/bench/weir.ts";
import { lab, testEnvironment, WEIR } from "./lab.ts";

const commands = trafficCommands(0);
const rule = (name: string, egress: string, pod = "a"): string =>
  stringify({ apiVersion: "weir.dev/v1alpha1", kind: "Limit", metadata: { name }, spec: { pod, egress } });
const BAD = stringify({
  apiVersion: "weir.dev/v1alpha1",
  kind: "Limit",
  metadata: { name: "bad" },
  spec: { pod: "a" },
});

describe("how apply and delete end", () => {
  const fixture = lab({
    nodes: 2,
    pods: [
      { name: "a", node: "node-1", commands },
      { name: "b", node: "node-2", commands },
    ],
  });
  const apply = (text: string) => fixture.stage.attemptApply(text);
  const weir = (...argv: string[]) =>
    attempt([...WEIR, ...argv, "--lab", fixture.stage.name], { env: testEnvironment() });
  const effective = async () =>
    (await fixture.stage.limits()).flatMap(({ pod, effective: rate }) => (pod === "a" ? [rate] : []));

  test("of two conflicting objects only the one with precedence is in force", async () => {
    expect(await apply(rule("first", "10M"))).toMatchObject({ code: 0 });
    const lost = await apply(rule("second", "20M"));
    expect(lost).toMatchObject({ code: 1 });
    expect(lost.stderr).toMatch(/✖ Limit\/default\/second spec.egress: .*first says 10 Mbit\/s egress/);
    expect(await apply(rule("first", "10M"))).toMatchObject({ code: 0 });
    expect(await effective()).toEqual([10e6, null]);
  });

  test("problems of other objects are not reported by this command", async () => {
    const other = await apply(rule("other", "30M", "b"));
    expect(other).toMatchObject({ code: 0 });
    expect(other.stderr).not.toContain("second");
    const held = JSON.parse((await weir("get", "objects", "-o", "json")).stdout) as { items: { name: string }[] };
    expect(held.items.map(({ name }) => name)).toEqual(expect.arrayContaining(["a", "first", "second", "other"]));
    expect(await fixture.stage.attemptLab(["status"])).toMatchObject({ code: 0 });
    expect(await weir("delete", "Limit/other")).toMatchObject({ code: 0, stderr: expect.not.stringContaining("✖") });
    expect(await weir("delete", "Limit/second")).toMatchObject({ code: 0, stderr: expect.not.stringContaining("✖") });
  });

  test("a rule that selects no pod is reported", async () => {
    const idle = await apply(rule("idle", "5M", "nobody"));
    expect(idle).toMatchObject({ code: 0 });
    const why = "chooses no pod: there is no pod default/nobody";
    expect(idle.stderr).toContain(`! Limit/default/idle spec.pod: ${why}`);
    expect((await weir("get", "problems")).stdout).toContain(why);
    expect((await weir("get", "limits")).stderr).toContain(`! Limit/default/idle spec.pod: ${why}`);
  });

  test("a Limit overruled by the pod's annotation is reported, and a Limit of the other direction is in force", async () => {
    const own = { name: "c", annotations: { "kubernetes.io/egress-bandwidth": "3M" } };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: own,
      spec: { containers: [{ name: "c", command: ["sleep", "600"] }] },
    };
    const spec = { pod: "c", egress: "4M", ingress: "5M" };
    const limit = { apiVersion: "weir.dev/v1alpha1", kind: "Limit", metadata: { name: "both" }, spec };
    const told = await apply(`${stringify(pod)}---\n${stringify(limit)}`);
    expect(told).toMatchObject({ code: 0 });
    const why = "says 4 Mbit/s egress, but for default/c Pod/default/c comes first (3 Mbit/s egress)";
    expect(told.stderr).toContain(`! Limit/default/both spec.egress: ${why}`);
    expect((await weir("get", "problems")).stdout).toContain("says 4 Mbit/s egress");
    expect((await weir("get", "limits")).stdout).toMatch(/overruled: Pod\/default\/c comes first \(3 Mbit\/s egress\)/);
    expect((await weir("delete", "Pod/c", "Limit/both")).code).toBe(0);
  });

  test("a pod is in force once its probes, sent by its node, report it ready", async () => {
    const serve = 'setTimeout(() => require("http").createServer((_, answer) => answer.end()).listen(8080), 300)';
    const container = {
      ...{ name: "c", command: [process.execPath, "-e", serve], ports: [{ name: "web", containerPort: 8080 }] },
      startupProbe: { tcpSocket: { port: "web" }, periodSeconds: 1, failureThreshold: 30 },
      readinessProbe: { httpGet: { port: "web" }, periodSeconds: 1 },
    };
    const spec = { nodeName: "node-2", terminationGracePeriodSeconds: 0, containers: [container] };
    const pod = stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "probed" }, spec });
    expect(await apply(pod)).toMatchObject({ code: 0 });
    const { stdout } = await fixture.stage.attemptLab(["status", "-o", "json"]);
    const { pods } = JSON.parse(stdout) as { pods: { name: string; ready: boolean }[] };
    expect(pods.find(({ name }) => name === "probed")).toMatchObject({ ready: true });
    expect((await weir("delete", "Pod/probed")).code).toBe(0);
  });

  test("an effect that the kernel does not support is reported as not in force", async () => {
    const text = (spec: object) =>
      stringify({ apiVersion: "weir.dev/v1alpha1", kind: "Impairment", metadata: { name: "slow" }, spec });
    const delay = { pod: "b", direction: "egress", delay: { latency: "5ms" } };
    const nobody = {
      pod: "b",
      direction: "egress",
      loss: "1%",
      match: { peers: [{ podSelector: { matchLabels: { no: "such" } } }] },
    };
    const idle = await apply(text(nobody));
    expect(idle).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("! Impairment/default/slow spec.match.peers: "),
    });
    const past = await apply(text({ pod: "b", direction: "egress", loss: "1%", until: "2026-01-02T15:04:05Z" }));
    expect(past).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("it is over since 2026-01-02T15:04:05.000Z"),
    });
    const { stdout } = await weir("doctor", "-o", "json");
    const hasFq = (JSON.parse(stdout) as { probes: { name: string; available: boolean }[] }).probes.find(
      ({ name }) => name === "fq qdisc",
    )?.available;
    const ended = await apply(text(delay));
    expect(ended.code).toBe(hasFq ? 0 : 1);
    if (!hasFq) expect(ended.stderr).toMatch(/✖ Impairment\/default\/slow spec: .*fq/);
    expect((await weir("delete", "Impairment/slow")).code).toBe(0);
  });

  test("weir impair replaces an existing Impairment only on request, and names the one that is overruled", async () => {
    const slow = { pod: "a", direction: "egress", loss: "5%" };
    const made = { apiVersion: "weir.dev/v1alpha1", kind: "Impairment", metadata: { name: "zz" }, spec: slow };
    expect((await apply(stringify(made))).code).toBe(0);
    const argv = ["impair", "a", "--direction", "egress", "--loss", "1%", "--for", "1h"];
    const refused = await weir(...argv);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/Impairment\/default\/zz comes first \(loss 5% egress\); removed \(--override /);
    const taken = await weir(...argv, "--override");
    expect(taken).toMatchObject({ code: 0, stdout: expect.stringContaining("egress: loss 1%, active") });
    expect(taken.stderr).toContain("Impairment/default/zz (loss 5%) is overruled until ");
    const { items } = JSON.parse((await weir("get", "impairments", "-o", "json")).stdout);
    const lost = {
      source: "Impairment/default/zz",
      state: "not enforced",
      reason: expect.stringMatching(/^overruled: /),
    };
    expect(items).toContainEqual(expect.objectContaining(lost));
    const [, name = ""] = /weir delete (\S+)/.exec(taken.stdout) ?? [];
    expect((await weir("delete", name, "Impairment/zz")).code).toBe(0);
  });

  test("an Impairment of weir impair can be deleted by its name", async () => {
    const made = await weir("impair", "a", "--loss", "1%", "--for", "1h");
    const [, name = "", where] = /weir delete (\S+) (.*) ends it earlier/.exec(made.stdout) ?? [];
    expect(where).toBe(`--lab ${fixture.stage.name}`);
    expect(await weir("delete", name)).toMatchObject({ code: 0, stdout: `deleted ${name}\n` });
    expect(JSON.parse((await weir("get", "impairments", "-o", "json")).stdout)).toEqual({ items: [] });
  });

  test("Ctrl+C received twice, from the terminal and from a wrapper, ends weir impair's wait", async () => {
    const env = testEnvironment();
    const argv = ["impair", "a", "--lab", fixture.stage.name, "--loss", "1%", "--for", "1h", "--wait"];
    const lines: string[] = [];
    const beside = start([...WEIR, ...argv], { env, onLine: (line) => lines.push(line) });
    await expect.poll(() => lines.length, { timeout: 60_000 }).toBe(2);
    beside.child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 1));
    beside.child.kill("SIGINT");
    expect(await beside.ended).toMatchObject({ code: 130, stdout: expect.stringContaining(" packets, ") });
    expect(JSON.parse((await weir("get", "impairments", "-o", "json")).stdout)).toEqual({ items: [] });
  });

  test("an object in two files is refused; an invalid object can be deleted by its name", async () => {
    const { stage } = fixture;
    const [one, two] = [stage.scratchFile(rule("first", "11M")), stage.scratchFile(rule("first", "12M"))];
    expect(await weir("apply", "-f", one, "-f", two)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("in two of the given files"),
    });
    const wrong = stage.scratchFile(rule("first", "much"));
    expect(await weir("delete", "-f", wrong)).toMatchObject({ code: 0, stdout: "deleted Limit/default/first\n" });
    expect(await apply(rule("first", "10M"))).toMatchObject({ code: 0 });
  });

  test("a dry run reports a bad annotation and a conflict", async () => {
    const { stage } = fixture;
    const bad = stage.scratchFile(rule("zero", "1M"));
    const would = await weir("apply", "--dry-run", "-f", bad);
    expect(would).toMatchObject({ code: 1, stdout: "would be created: Limit/default/zero\n" });
    expect(would.stderr).toContain("✖ Limit/default/zero spec.egress: says 1 Mbit/s egress, but Limit/default/first");
  });

  test("nothing of a file with a bad object is applied, as a dry run reports", async () => {
    const text = `${rule("first", "50M")}---\n${BAD}`;
    const file = fixture.stage.scratchFile(text);
    for (const argv of [["apply", "--dry-run"], ["diff"], ["apply"]]) {
      const ended = await weir(...argv, "-f", file);
      expect(ended.code, argv.join(" ")).toBe(argv[0] === "diff" ? 2 : 1);
      expect(ended.stderr, argv.join(" ")).toMatch(/✖ Limit\/default\/bad spec: needs ingress or egress/);
      expect(ended.stdout, argv.join(" ")).toBe("");
    }
    expect(await effective()).toEqual([10e6]);
    expect(await apply("# nothing\n")).toMatchObject({ code: 1, stderr: expect.stringContaining("no object") });
  });
});
