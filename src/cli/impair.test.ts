import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findKind, readManifestDocuments, specSchemas } from "../agent/manifests.ts";
import type { MemoryBackend } from "../api/testing/memory.ts";
import { port } from "./impair-flags.ts";
import { Machine } from "./testing/harness.ts";
import { shop } from "./testing/samples.ts";

let machine: Machine;
let backend: MemoryBackend;
/** Manifests that were applied, also those that are gone again. */
let applied: { metadata: { name: string }; spec: Record<string, unknown> }[];
let state: "active" | "not enforced";
beforeEach(async () => {
  machine = await Machine.create();
  backend = await machine.agent("node-1", shop());
  applied = [];
  state = "active";
  const put = backend.putObjects.bind(backend);
  backend.putObjects = async (documents, options) => {
    applied.push(...(documents as typeof applied));
    return put(documents, options);
  };
  const [sample] = shop().impairments ?? [];
  if (!sample) throw new Error("no sample");
  backend.impairments = async () =>
    backend.state.objects.flatMap(({ name, manifest }) => {
      const { direction } = manifest["spec"] as { direction: string };
      const source = `Impairment/shop/${name}`;
      const reason = state === "active" ? null : "not enforced: no room";
      const both = ["ingress", "egress"] as const;
      return both
        .filter((one) => direction === "both" || direction === one)
        .map((one) => ({ ...sample, direction: one, source, state, reason }));
    });
});
afterEach(() => machine.close());

const modules = { manifests: async () => ({ findKind, readManifestDocuments, specSchemas }) };
const run = (...argv: string[]) => machine.run(["impair", "web-10", "-n", "shop", ...argv], modules);

describe("weir impair", () => {
  test("applies an Impairment with an end, and reports that it is in force", async () => {
    const ran = await run("--direction", "egress", "--loss", "2%", "--for", "30s");
    expect(ran).toEqual({
      code: 0,
      out: expect.stringMatching(
        /^shop\/web-10 egress: loss 2%, active; ends at 2026-01-02T03:04:35.000Z\nweir delete Impairment\/shop\/impair-web-10-[0-9a-z]{12} ends it earlier\n$/,
      ),
      err: "",
    });
    expect(applied).toMatchObject([
      { spec: { pod: "web-10", direction: "egress", loss: "2%", until: "2026-01-02T03:04:35.000Z" } },
    ]);
    expect(applied[0]?.metadata.name).toMatch(/^impair-web-10-[0-9a-z]{12}$/);
    expect(backend.state.objects).toHaveLength(1);
  });

  test("waits, reports what was measured, and removes it", async () => {
    const ran = await run("--loss", "2%", "--for", "3s", "--wait");
    expect(ran.code).toBe(0);
    expect(ran.out.split("\n").slice(2)).toEqual([
      "shop/web-10 ingress: 100000 packets, 2013 lost (2.01 %; 95 %: 1.93 % – 2.1 %)",
      "shop/web-10 egress: 100000 packets, 2013 lost (2.01 %; 95 %: 1.93 % – 2.1 %)",
      "",
    ]);
    expect(backend.state.objects).toEqual([]);
  });

  test("Ctrl+C ends it early", async () => {
    const interrupt = new AbortController();
    const argv = ["impair", "web-10", "-n", "shop", "--loss", "2%", "--for", "1h", "--wait"];
    const sleep = async () => interrupt.abort();
    const { code, out } = await machine.run(argv, {}, { signal: interrupt.signal, sleep });
    expect(code).toBe(130);
    expect(out).toContain("100000 packets");
    expect(backend.state.objects).toEqual([]);
  });

  test.each<[string, () => void, string]>([
    ["pod", () => backend.state.pods.splice(0), "the pod was removed"],
    ["object", () => backend.state.objects.splice(0), "was deleted"],
  ])("a %s that goes meanwhile ends the wait at once, with the reason", async (_what, remove, reason) => {
    const { impairments } = backend;
    let isGone = false;
    let slept = 0;
    backend.impairments = async () => (isGone ? [] : impairments());
    const sleep = async (ms: number) => {
      slept += ms;
      isGone = true;
      remove();
    };
    const argv = ["impair", "web-10", "-n", "shop", "--loss", "2%", "--for", "1h", "--wait"];
    const { code, out, err } = await machine.run(argv, {}, { sleep });
    expect(code).toBe(1);
    expect(out).toContain("100000 packets");
    expect(err).toMatch(new RegExp(`^weir: impair shop/web-10: ended early: .*${reason}\n$`));
    expect(slept).toBeLessThan(1000);
    expect(backend.state.objects).toEqual([]);
  });

  test("a restarted agent without receipts does not end the wait", async () => {
    const { impairments } = backend;
    let calls = 0;
    backend.impairments = async () => (calls++ === 1 ? [] : impairments());
    const ran = await run("--loss", "2%", "--for", "3s", "--wait");
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(calls).toBeGreaterThan(3);
  });

  test("a rule that is not enforced is removed", async () => {
    state = "not enforced";
    expect(await run("--loss", "2%", "--for", "30s")).toEqual({
      code: 1,
      out: "",
      err: "weir: impair shop/web-10: not enforced: no room; removed\n",
    });
    expect(backend.state.objects).toEqual([]);
  });

  /** As an agent answers: of the one-off and of a rule of others for the same packets one counts. */
  function beside(other: Partial<NonNullable<ReturnType<typeof shop>["impairments"]>[number]>): void {
    const [sample] = shop().impairments ?? [];
    if (!sample) throw new Error("no sample");
    const idle = { state: "not enforced", effective: null } as const;
    backend.impairments = async () => {
      const theirs = { ...sample, source: "Impairment/shop/slow", configured: "loss 7%", ...other };
      const mine = backend.state.objects.map(({ name, manifest }) => ({ name, spec: manifest["spec"] as object }));
      return mine.flatMap(({ name, spec }) => {
        const source = `Impairment/shop/${name}`;
        const reason = (who: string): string => `overruled: ${who} comes first (loss egress)`;
        if ("override" in spec)
          return [
            { ...sample, source },
            { ...theirs, ...idle, reason: reason(source), overruledBy: source },
          ];
        const by = theirs.source === "loss" ? "Pod/shop/web-10" : theirs.source;
        return [theirs, { ...sample, ...idle, source, reason: reason(by), overruledBy: by }];
      });
    };
  }
  const egress = ["--direction", "egress", "--loss", "2%", "--for", "30s"];

  test.each([
    ["an Impairment's", { source: "Impairment/shop/slow" }, "Impairment/shop/slow"],
    ["one that comes later in the alphabet", { source: "Impairment/shop/zz" }, "Impairment/shop/zz"],
    ["the pod's own", { source: "loss" }, "Pod/shop/web-10"],
  ])("%s rule for the same packets keeps its place and is named, with what to do", async (_, other, name) => {
    beside(other);
    expect(await run(...egress)).toEqual({
      code: 1,
      out: "",
      err: `weir: impair shop/web-10: overruled: ${name} comes first (loss egress); removed (--override takes precedence meanwhile)\n`,
    });
    expect(backend.state.objects).toEqual([]);
  });

  test("--override overrules other rules and names them", async () => {
    beside({});
    const ran = await run(...egress, "--override");
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("active") });
    const text = "shop/web-10 egress: Impairment/shop/slow (loss 7%) is overruled until 2026-01-02T03:04:35.000Z";
    expect(ran.err).toBe(`! ${text}\n`);
    expect(applied).toMatchObject([{ spec: { override: true } }]);
  });

  test("names sort by time of creation", async () => {
    await run(...egress);
    await machine.run(["impair", "web-10", "-n", "shop", ...egress], modules, { wall: () => Date.UTC(2026, 5, 1) });
    const names = applied.map(({ metadata }) => metadata.name);
    expect(names.toSorted()).toEqual(names);
  });

  test.each<[string[], Record<string, unknown>]>([
    [["--loss", "exponential 300"], { loss: { exponential: { threshold: 300 } } }],
    [["--loss", "burst p=1% r=20% bad=90%"], { loss: { burst: { p: "1%", r: "20%", lossBad: "90%" } } }],
    [
      ["--delay", "50ms", "--jitter", "10ms", "--reorder", "1%"],
      { delay: { latency: "50ms", jitter: "10ms" }, reorder: "1%" },
    ],
    [
      [
        "--corrupt",
        "1%",
        "--seed",
        "7",
        "--lease",
        "10s",
        "--peer",
        "10.0.0.0/8",
        "--peer",
        "10.244.2.2",
        "--peer",
        "fd00::1",
        "--port",
        "53/udp",
        "--port",
        "80",
      ],
      {
        corrupt: "1%",
        seed: 7,
        lease: "10s",
        match: {
          peers: [{ cidr: "10.0.0.0/8" }, { cidr: "10.244.2.2/32" }, { cidr: "fd00::1/128" }],
          ports: [
            { protocol: "UDP", port: 53 },
            { protocol: "TCP", port: 80 },
          ],
        },
      },
    ],
  ])("%j", async (argv, expected) => {
    expect((await run(...argv, "--for", "30s")).err).toBe("");
    const until = "2026-01-02T03:04:35.000Z";
    expect(applied[0]?.spec).toEqual({ pod: "web-10", direction: "both", until, ...expected });
  });

  test.each<[string[], number, string]>([
    [["--for", "30s"], 2, "give one of --loss"],
    [["--loss", "2%"], 2, "--for"],
    [["--loss", "2%", "--for", "8761h"], 2, "longer than a year"],
    [["--jitter", "2ms", "--for", "30s"], 2, "--jitter needs --delay"],
    [["--loss", "2", "--for", "30s"], 2, "no percentage"],
    [["--loss", "burst p=1%", "--for", "30s"], 2, "both are needed"],
    [["--loss", "burst __proto__=1%", "--for", "30s"], 2, "burst p=1% r=20%"],
    [["--loss", "2%", "--for", "10ms"], 2, "a duration of 1s to 8760h, for example 30s"],
    [["--loss", "2%", "--for", "30s", "--port", "ICMP/7"], 2, "53/UDP"],
    [["--loss", "2%", "--for", "30s", "--peer", "10.0.0.0/33"], 2, "such as 10.0.0.0/8"],
    [["--loss", "2%", "--for", "30s", "--peer", "web"], 2, "such as 10.0.0.0/8 or fd00::/8, or an address"],
    [["--loss", "2%", "--for", "3"], 2, 'for example "30s" (did you mean "3s"?'],
    [["--loss", "2%", "--for", "5min"], 2, 'for example "30s" (did you mean "5m"?'],
    [["--loss", "2%", "--for", "1d"], 2, 'did you mean "24h"?'],
    [["--delay", "50", "--for", "30s"], 2, 'for example "50ms" (did you mean "50ms"?'],
    [["--delay", "50 msec", "--for", "30s"], 2, 'did you mean "50ms"?'],
    [["--loss", "2%", "--lease", "30", "--for", "30s"], 2, 'did you mean "30s"?'],
    [["--loss", "5", "--for", "30s"], 2, 'did you mean "5%"?'],
    [["--loss", "0.05", "--for", "30s"], 2, 'write "5%" or "0.05%"'],
    [["--los", "5%", "--for", "30s"], 2, "(Did you mean --loss?)"],
    [["--pace", "10m", "--for", "30s"], 2, 'did you mean "10M"?'],
    [["--loss", "2%", "--for", "30s", "--port", "tcp/80"], 2, "Did you mean 80/TCP?"],
    [["--loss", "2%", "--for", "30s", "--port", "8000:8100"], 2, "Did you mean 8000-8100/TCP?"],
    [["--loss", "2%", "--for", "30s", "--direction", "out"], 2, "Allowed choices are ingress, egress, both"],
    [["--loss", "2%", "--for", "30s", "--seed", "-1"], 2, "whole number"],
    [["--loss", "exponential 1001", "--for", "30s"], 2, "impair: --loss: "],
    [["--loss", "exponential", "--for", "30s"], 2, 'Write "exponential 300"'],
    [["--loss", "exponential egress 300", "--for", "30s"], 2, 'Write "exponential 300"'],
    [["--loss", "uniform egress 2%", "--for", "30s"], 2, 'Write "2%"'],
    [["--loss", "2%", "--for", "30s", "--lease", "0s"], 2, "impair: --lease: must be 1s to 24h"],
    [["--loss", "2%", "--for", "30s", "--port", "10-5/TCP"], 2, "impair: --port: is below port"],
    [["--loss", "2%", "--for", "30s", ...Array(9).fill("--port=1")], 2, "impair: --port: "],
    [["--loss", "2%", "--for", "30s", "--jitter", "1ms"], 2, "give both"],
    [["--delay", "1ms", "--for", "30s", "--jitter", "2ms"], 2, "impair: --jitter: is longer than latency"],
    [["--loss", "2%", "--for", "30s", "--reorder", "1%"], 2, "--reorder needs --delay"],
    [["--pace", "fast", "--for", "30s"], 2, "such as 10M"],
    [["--loss", "2%", "--for", "30s", "--peer", "10.0.0.1/8"], 2, "impair: --peer: "],
    [["--loss", "2%", "--for", "30s", "-n", "other"], 1, "no such pod"],
  ])("%j is refused", async (argv, code, message) => {
    const ran = await run(...argv);
    expect(ran.code).toBe(code);
    expect(ran.err).toContain(message);
    expect(backend.state.objects).toEqual([]);
  });
});

test.each<[string, unknown]>([
  ["443", { protocol: "TCP", port: 443 }],
  ["UDP", { protocol: "UDP" }],
  ["icmp", { protocol: "ICMP" }],
  ["8000-8100/SCTP", { protocol: "SCTP", port: 8000, endPort: 8100 }],
])("port %s", (text, expected) => {
  expect(port(text)).toEqual([expected]);
});

test.each(["", "/", "80/", "x", "1-2-3", "80/ICMP", "123456"])("port %j is none", (text) => {
  expect(() => port(text)).toThrow("Write a port");
});
