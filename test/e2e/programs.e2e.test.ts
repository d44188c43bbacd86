import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { manifests } from "../../src/bench/pods.ts";
import { binomialTest } from "../../src/model/statistics.ts";
import { lab, REPOSITORY } from "./lab.ts";

interface Receipt {
  pod: string;
  direction: string;
  source: string;
  program: string;
  effective: string | null;
  build: string | null;
  state: string;
  packets: number;
  dropped: number;
  reason: string | null;
}
interface Chain {
  owner: string | null;
  direction: string;
  hops: { function: string }[];
}
interface Problem {
  object: string;
  path?: string;
  message: string;
}

const UNLIKELY = 1e-4;
const A = { name: "a", node: "node-1", labels: { app: "a" } };
const B = { name: "b", node: "node-1", labels: { app: "b" } };

describe("users' programs in a lab", () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-programs-"));
  cpSync(join(REPOSITORY, "examples/programs"), folder, { recursive: true });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const fixture = lab({ nodes: 1, pods: [A, B], programs: folder });
  const receipts = () => fixture.stage.get<Receipt>("programs");
  const withRule = (value: string, more: Record<string, string> = {}) => ({
    ...A,
    annotations: { "ebpf-limit": value, ...more },
  });

  /** The problem of pod a's rule, from `weir get problems`. */
  async function complaint(object = "Pod/default/a"): Promise<string> {
    const problems = await fixture.stage.get<Problem>("problems");
    return problems.find((one) => one.object === object)?.message ?? "nothing";
  }
  /** Applies a rule; the command may report that it is not in force. */
  async function attempt(value: string): Promise<void> {
    await fixture.stage.attemptApply(manifests([withRule(value)]));
  }
  const send = async (count: number, family: 4 | 6 = 4): Promise<void> => {
    const { stage } = fixture;
    const loop = `for ((i = 0; i < ${count}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
    await stage.exec("a", ["bash", "-c", `exec 3>/dev/udp/${stage.ip("b", family)}/9; ${loop}`], 60_000);
  };

  test("program, loss and limit of one pod act in this order, each with its own counters", async () => {
    const { stage } = fixture;
    await stage.apply([
      withRule("drop-one-of egress -DN=10", { loss: "uniform egress 20%", bandwidth: "50 mbps egress" }),
      B,
    ]);
    const [chain] = (await stage.get<Chain>("chains")).filter(
      ({ owner, direction }) => owner === "default/a" && direction === "ingress",
    );
    expect(chain?.hops.map((hop) => hop.function)).toEqual(["custom", "impair", "limit"]);
    // The loss is in force while the program is still being compiled, and pods send packets by themselves.
    const [first] = await receipts();
    const [earlier] = await stage.get<{ packets: number }>("impairments");
    for (const family of [4, 6] as const) await send(10_000, family);
    // Counters are read against the direction of the packets: later instances of the chain cannot have counted more.
    const [limit] = await stage.limits();
    const [impair] = await stage.get<{ packets: number; lost: number }>("impairments");
    const [custom] = await receipts();
    expect(custom).toMatchObject({
      pod: "a",
      direction: "egress",
      source: "ebpf-limit",
      effective: "drop-one-of -DN=10",
      state: "active",
      reason: null,
    });
    const { packets = 0, dropped = 0 } = custom ?? {};
    expect(packets).toBeGreaterThanOrEqual(20_000);
    expect(dropped).toBe(Math.floor(packets / 10));
    const passed = packets - dropped - ((first?.packets ?? 0) - (first?.dropped ?? 0));
    const met = (impair?.packets ?? 0) - (earlier?.packets ?? 0);
    expect(met).toBeGreaterThan(0.85 * passed);
    expect(met).toBeLessThanOrEqual(passed);
    expect(binomialTest(impair?.lost ?? 0, impair?.packets ?? 1, 0.2)).toBeGreaterThan(UNLIKELY);
    expect(limit).toMatchObject({ direction: "egress", effective: 50_000_000 });
    const drops = await stage.get<{ owner: string; direction: string; reason: string; packets: number }>("drops");
    const own = drops
      .filter((one) => one.owner === "default/a" && one.direction === "egress")
      .map(({ reason, packets: count }) => [reason, count]);
    const counted: Record<string, number> = Object.fromEntries(own);
    expect(counted["custom"]).toBeGreaterThanOrEqual(dropped);
    expect(counted["impaired"]).toBeGreaterThanOrEqual(impair?.lost ?? 0);
  });

  test("a Service's rule applies to its pods; a pod's own rule takes precedence", async () => {
    const { stage } = fixture;
    const service = (value: string) => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "all", annotations: { "weir.dev/ebpf-limit": value } },
      spec: { selector: { app: "b" } },
    });
    await stage.apply([A, B]);
    await stage.applyText(JSON.stringify(service("mark-dscp egress -DDSCP=10; limit-syns ingress -DRATE=5")));
    const mine = async () =>
      (await receipts()).map(({ pod, direction, program, source, state }) =>
        [pod, direction, program, source, state].join(" "),
      );
    expect(await mine()).toEqual([
      "b egress mark-dscp Service/default/all active",
      "b ingress limit-syns Service/default/all active",
    ]);
    await stage.apply([A, { ...B, annotations: { "ebpf-limit": "drop-one-of egress" } }]);
    expect(await mine()).toEqual([
      "b egress drop-one-of ebpf-limit active",
      "b ingress limit-syns Service/default/all active",
    ]);
    await stage.deleteText(JSON.stringify(service("mark-dscp egress -DDSCP=10")));
    await stage.apply([A, B]);
    expect(await receipts()).toEqual([]);
  });

  test("rules change live; a refused rule is reported, and the previous one stays in force", async () => {
    const { stage } = fixture;
    await stage.apply([withRule("drop-one-of egress -DN=1"), B]);
    await send(5);
    const [all] = await receipts();
    expect(all).toMatchObject({ dropped: all?.packets });
    for (const [value, reason] of [
      ["no-such egress", /"no-such" is not in the administrator's list, which has drop-one-of, mark-dscp, limit-syns/],
      ["../drop-one-of egress", /is no program's name.*last good value stays/],
      ["drop;one egress", /./],
      ["drop-one-of egress -DN=0", /macro N is 0, not within 1 to 1000000/],
      ["drop-one-of egress -DN=1 -include /etc/shadow", /"-include" is no macro.*last good value stays/],
      ["drop-one-of egress -DM=1", /macro M is not declared/],
      ["mark-dscp egress", /macro DSCP is required/],
      ["mark-dscp ingress -DDSCP=1; mark-dscp egress -DDSCP=64", /macro DSCP is 64|mark-dscp is for egress alone/],
    ] as const) {
      await attempt(value);
      expect(await complaint(), value).toMatch(reason);
      const [still] = (await receipts()).filter(({ direction }) => direction === "egress");
      expect(still?.build, value).toBe(all?.build);
    }
    await stage.apply([withRule("drop-one-of egress -DN=2"), B]);
    await send(100);
    const [half] = await receipts();
    expect(half).toMatchObject({ state: "active", effective: "drop-one-of -DN=2" });
    expect(half?.dropped).toBe(Math.floor((half?.packets ?? 0) / 2));
    expect(await complaint()).toBe("nothing");
  });

  test("a restart after a kill keeps the program and its counters", async () => {
    const { stage } = fixture;
    const [before] = await receipts();
    const pid = await stage.killAgent("node-1");
    await send(50);
    await stage.awaitAgent("node-1", pid);
    const [after] = await receipts();
    expect(after).toMatchObject({ build: before?.build, state: "active", effective: "drop-one-of -DN=2" });
    expect(after?.packets).toBeGreaterThanOrEqual((before?.packets ?? 0) + 50);
  });

  test("attacks by files in the folder are reported, and do not change traffic", async () => {
    const { stage } = fixture;
    const source = join(folder, "drop-one-of.c");
    const good = readFileSync(source, "utf8");
    const [before] = await receipts();
    const replace = (text: string): void => {
      writeFileSync(join(folder, "new"), text, { mode: 0o644 });
      renameSync(join(folder, "new"), source);
    };
    const body = (text: string) => good.replace(/return \(__sync[^;]*;/, text);
    const attacks: [string, () => void, RegExp][] = [
      ["a secret", () => replace('#include "/etc/shadow"\n'), /drop-one-of\.c:1: '\/etc\/shadow' file not found/],
      ["never ends", () => replace(body("for (;;) barrier_var(count);")), /the verifier refuses drop-one-of\.c:\d+: /],
      ["a redirect", () => replace(body("return bpf_redirect(1, 0);")), /calls bpf_redirect, which programs may not/],
      [
        "a link",
        () => {
          rmSync(source);
          symlinkSync("/etc/shadow", source);
        },
        /it is a symbolic link/,
      ],
      ["nothing", () => rmSync(source), /it is not there/],
    ];
    for (const [what, attack, reason] of attacks) {
      attack();
      await expect.poll(() => complaint(), { timeout: 60_000, message: what }).toMatch(reason);
      const [now] = await receipts();
      expect(now, what).toMatchObject({ build: before?.build, state: "refused" });
    }
    const [held] = await receipts();
    await send(20);
    expect((await receipts())[0]?.dropped).toBeGreaterThanOrEqual((held?.dropped ?? 0) + 10);
    replace(good);
    await expect.poll(async () => (await receipts())[0]?.state, { timeout: 60_000 }).toBe("active");
    expect(await complaint()).toBe("nothing");
    expect((await receipts())[0]?.build).toBe(before?.build);
    await stage.apply([A, B]);
    const cache = `/run/weir/labs/${stage.name}/nodes/node-1/state/programs`;
    expect(readdirSync(cache).filter((name) => !/^[0-9a-f]{12}\.bpf\.o$/.test(name))).toEqual([]);
  });
});
