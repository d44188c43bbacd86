import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOSS_KEYS } from "../model/impairments.ts";
import { RULE_KEYS } from "../model/limits.ts";
import { PROGRAM_KEYS } from "../model/programs.ts";
import type { AgentOptions, LabModule, Modules } from "./modules.ts";
import { Machine } from "./testing/harness.ts";
import { keyTopics } from "./topics.ts";

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.create();
});
afterEach(() => machine.close());

/** Modules that note what they were called with; each lab command ends with its own exit code. */
function recorder() {
  const calls: unknown[] = [];
  const note = (name: string, code?: number) => async (options: unknown) => {
    calls.push([name, options]);
    return code;
  };
  const lab: LabModule = {
    up: note("up"),
    apply: note("apply", 0),
    changes: async () => ({ changes: [], problems: [], previewed: [] }),
    objects: async () => [],
    del: note("del", 1),
    exec: note("exec", 42),
    logs: note("logs"),
    status: note("status", 1),
    list: note("list"),
    down: note("down"),
    supervise: note("supervise"),
  };
  const modules: Modules = {
    lab: async () => lab,
    bench: async () => ({ bench: note("bench") }),
    agent: async () => ({
      runAgent: async (options) => {
        calls.push(["agent", options]);
      },
    }),
    uninstall: async () => ({
      uninstall: async (options) => {
        calls.push(["uninstall", options]);
        return options.plan ? ["link weir_host"] : [];
      },
    }),
    doctor: async () => ({ examine: async () => ({ kernel: "6.1", arch: "x64", ok: true, probes: [] }) }),
    functions: async () => ({
      functions: [{ name: "limit", kind: "transparent", summary: "holds a pod to a rate" }],
    }),
    capabilities: async () => ({ capabilityNames: ["bpf", "net_admin"] }),
    manifests: () => import("../agent/manifests.ts"),
    kubernetes: () => Promise.reject(new Error("not used")),
  };
  return { calls, modules };
}

describe("weir lab", () => {
  const up = { name: "default", files: [], nodes: 1, overlay: "vxlan", images: {} };
  test.each<[string[], number, string, unknown]>([
    [["up"], 0, "up", up],
    [
      ["up", "-f", "a.yaml", "-f", "/b", "--nodes", "3", "--overlay", "direct", "--name", "x"],
      0,
      "up",
      { ...up, name: "x", files: ["/work-dir/a.yaml", "/b"], nodes: 3, overlay: "direct" },
    ],
    [
      ["up", "--image", "nginx:1=img/n.tar", "--image", "a=b=/c"],
      0,
      "up",
      { ...up, images: { "nginx:1": "/work-dir/img/n.tar", "a=b": "/c" } },
    ],
    [
      ["up", "--kubeconfig", "k/config", "--context", "blue"],
      0,
      "up",
      { ...up, kubernetes: { kubeconfig: "/work-dir/k/config", context: "blue" } },
    ],
    [["up", "--kubeconfig", "/k"], 0, "up", { ...up, kubernetes: { kubeconfig: "/k", context: undefined } }],
    [["apply", "-f", "a"], 0, "apply", { name: "default", files: ["/work-dir/a"] }],
    [["delete", "-f", "a", "--name", "x"], 1, "del", { name: "x", files: ["/work-dir/a"] }],
    [
      ["exec", "web", "--", "sh", "-c", "exit 42"],
      42,
      "exec",
      { name: "default", namespace: "default", pod: "web", container: undefined, command: ["sh", "-c", "exit 42"] },
    ],
    [
      ["exec", "--name", "x", "-n", "shop", "-c", "app", "web", "--", "ls", "--", "--help"],
      42,
      "exec",
      { name: "x", namespace: "shop", pod: "web", container: "app", command: ["ls", "--", "--help"] },
    ],
    [
      ["exec", "web", "-n", "shop", "--", "id"],
      42,
      "exec",
      expect.objectContaining({ namespace: "shop", command: ["id"] }),
    ],
    [["logs", "web"], 0, "logs", { name: "default", namespace: "default", pod: "web", container: undefined }],
    [["status", "-o", "json"], 1, "status", { name: "default", output: "json" }],
    [["list"], 0, "list", { output: "table" }],
    [["down", "--name", "x"], 0, "down", { name: "x" }],
    [["supervise", "--name", "x"], 0, "supervise", { name: "x", capabilities: ["bpf", "net_admin"] }],
  ])("%j", async (argv, code, name, options) => {
    const { calls, modules } = recorder();
    const ran = await machine.run(["lab", ...argv], modules);
    expect(ran).toEqual({ code, out: "", err: "" });
    expect(calls).toEqual([[name, options]]);
  });

  test.each([
    [["up", "--nodes", "0"], "whole number"],
    [["up", "--nodes", "1e9"], "whole number"],
    [["up", "--overlay", "geneve"], "vxlan, direct"],
    [["up", "--image", "nginx"], "NAME=PATH"],
    [["up", "--context", "blue"], "--context needs --kubeconfig"],
    [["up", "--kubeconfig", "/k", "-f", "a.yaml"], "--kubeconfig and -f exclude each other"],
    [["up", "-f", "-"], "weir lab apply -f -"],
    [["up", "a.yaml"], "too many arguments"],
    [["apply"], "-f, --file"],
    [["exec", "web"], "missing required argument 'command'"],
    [["exec", "web", "ls", "-l"], "unknown option '-l'"],
    [["exce"], "Did you mean exec?"],
    [["logs"], "missing required argument 'pod'"],
  ])("%j is wrong usage", async (argv, message) => {
    const { calls, modules } = recorder();
    const { code, err } = await machine.run(["lab", ...argv], modules);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(calls).toEqual([]);
  });

  test("an error of the lab is reported with its hint", async () => {
    const { modules } = recorder();
    const lab = await modules.lab();
    lab.down = () => Promise.reject(Object.assign(new Error("remove netns x: EBUSY"), { hint: "try again" }));
    const { code, err } = await machine.run(["lab", "down"], { ...modules, lab: async () => lab });
    expect({ code, err }).toEqual({ code: 1, err: "weir: remove netns x: EBUSY (try again)\n" });
  });
});

describe("weir agent", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "weir-t"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("flags have precedence over the file; paths are absolute", async () => {
    const file = join(folder, "agent.yaml");
    await writeFile(file, "apiVersion: weir.dev/v1alpha1\nkind: AgentConfig\nnode: a\nuplink: eth0\nmtu: 1450\n");
    const { calls, modules } = recorder();
    const flags = ["--node", "b", "--socket", "run/s", "--manifests", "/m", "--state", "st", "--bpffs", "/bpf"];
    const more = ["--keep", "--overlay", "direct", "--metrics", "127.0.0.1:9095", "--log-level", "debug"];
    const ran = await machine.run(["agent", "--config", file, ...flags, ...more], modules);
    expect(ran).toEqual({ code: 0, out: "", err: "" });
    const [name, options] = calls[0] as [string, AgentOptions];
    expect(name).toBe("agent");
    expect(options).toMatchObject({ keep: true, logLevel: "debug" });
    expect(options.config).toMatchObject({
      ...{ node: "b", uplink: "eth0", mtu: 1450, overlay: "direct", metrics: "127.0.0.1:9095" },
      ...{ socket: "/work-dir/run/s", manifests: "/m", state: "/work-dir/st", bpffs: "/bpf" },
    });
  });

  test("without flags: the defaults", async () => {
    const { calls, modules } = recorder();
    await machine.run(["agent"], modules);
    expect(calls).toEqual([["agent", expect.objectContaining({ keep: false, logLevel: "info" })]]);
  });

  test.each<[string[], number, string]>([
    [["--node", "Node 1"], 1, "weir: read flags: node: must be lower-case"],
    [["--config", "missing.yaml"], 1, "weir: read /work-dir/missing.yaml: ENOENT"],
    [["--overlay", "geneve"], 2, "vxlan, direct"],
    [["--log-level", "loud"], 2, "debug, info, warn, error"],
    [["--uplnk", "eth0"], 2, "Did you mean --uplink?"],
  ])("%j", async (argv, code, message) => {
    const { calls, modules } = recorder();
    const ran = await machine.run(["agent", ...argv], modules);
    expect(ran.code).toBe(code);
    expect(ran.err).toContain(message);
    expect(calls).toEqual([]);
  });
});

test("weir uninstall reports what it removes, or would remove", async () => {
  const { calls, modules } = recorder();
  expect(await machine.run(["uninstall", "--plan"], modules)).toEqual({
    code: 0,
    out: "would remove link weir_host\n",
    err: "",
  });
  expect((await machine.run(["uninstall", "--bpffs", "/b"], modules)).err).toBe("nothing to remove\n");
  const options = { bpffs: "/sys/fs/bpf", state: "/var/lib/weir", socket: "/run/weir/agent.sock" };
  expect(calls).toEqual([
    ["uninstall", { ...options, plan: true }],
    ["uninstall", { ...options, bpffs: "/b", plan: false }],
  ]);
});

test.each(["all", "limits", "loss", "forward", "footprint"])("weir bench %s", async (what) => {
  const { calls, modules } = recorder();
  expect((await machine.run(["bench", what, "--quick"], modules)).code).toBe(0);
  expect(calls).toEqual([["bench", { what, out: "/work-dir/bench-results", quick: true }]]);
});

test("help names every command and ends with 0; weir version is the package's", async () => {
  const { modules } = recorder();
  const { code, out } = await machine.run(["--help"], modules);
  expect(code).toBe(0);
  for (const name of ["status", "get", "explain", "doctor", "lab", "bench", "agent", "uninstall", "completion"]) {
    expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
  }
  expect(out).not.toMatch(/__complete|supervise/);
  expect(await machine.run(["version"], modules)).toEqual({ code: 0, out: "weir 0.1.0\n", err: "" });
  expect(await machine.run(["-V"], modules)).toEqual({ code: 0, out: "weir 0.1.0\n", err: "" });
});

describe("weir explain", () => {
  const explain = async (...argv: string[]) => (await machine.run(["explain", ...argv], recorder().modules)).out;
  test("lists all topics", async () => {
    const out = await explain();
    for (const word of ["limits", "config", "kubernetes.io/egress-bandwidth", "no_route", "holds a pod to a rate"]) {
      expect(out).toContain(word);
    }
  });
  test.each([
    [["limits"], /effective +number\|null +bit\/s that the datapath enforces/],
    [["limits.effective"], /^limits: .*\n\nFIELD +TYPE +MEANING\neffective +number\|null +bit.*\n$/],
    [["chain.hops.instance"], /hops\[\]\.instance +string/],
    [["limit"], /^limit: transparent network function\n\nholds a pod to a rate\n$/],
    [["config.rules"], /rules\.rateUnit +megabits\|megabytes/],
    [["status.observed"], /observed\.writes +integer/],
    [["topology"], /spec\.ports\[\]\.peer\.kind +"device"\|"tunnel"\|"port"\|"stack"\|"back"\|"sockets"\|"none"/],
    [["bandwidth"], /10 mbps egress/],
    [["bandwidth"], /^bandwidth: annotation of a Pod, of a workload's pod template, or of a Service/],
    [["rate"], /^rate: label of a Pod, of a workload's pod template, or of a Service/],
    [["kubernetes.io/ingress-bandwidth"], /Kubernetes quantity/],
    [["qos.projectcalico.org/egressBandwidth"], /rules\.calico/],
    [["spoofed"], /the source address is not the pod's/],
    [["limits"], /\n\nweir explain Limit tells how to write one\.\n$/],
    [["Limit"], /^Limit: .*\n\n(.*\n)*egress +string +What each pod sends at most/],
    [["Impairment.spec.until"], /until +string +When it ends/],
    [["Impairment.delay"], /delay\.jitter +string +How far/],
  ])("%j", async (argv, expected) => {
    expect(await explain(...argv)).toMatch(expected);
  });
  test("knows every key of pods, in their order", () => {
    const keys = [...RULE_KEYS, ...LOSS_KEYS, ...PROGRAM_KEYS];
    expect(keyTopics.map(({ name }) => name)).toEqual(keys.map(({ key }) => key));
  });

  test.each([
    [["limits.efective"], "did you mean effective?"],
    [["bandwith"], "did you mean bandwidth?"],
    [["zzzzzzzzz"], "no such topic (weir explain lists all)"],
  ])("%j suggests", async (argv, message) => {
    const { code, err } = await machine.run(["explain", ...argv]);
    expect(code).toBe(1);
    expect(err).toContain(message);
  });
});
