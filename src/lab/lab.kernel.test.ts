import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { LabStatus } from "./index.ts";
import { podTests } from "./testing/pods.ts";
import { makeTar } from "./testing/tar.ts";

const eventually = <T>(check: () => T): Promise<T> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

/** A lab whose agents have no datapath: the lab's own behaviour alone. */
const scratch = mkdtempSync(join(tmpdir(), "weir-lab-"));
const weir = `${scratch}/weir.mjs`;
const lab = `t${process.pid}`;
const env = { ...process.env, NODE_EXTRA_CA_CERTS: "" };

/** The bundle loads koffi from here. */
const modules = fileURLToPath(new URL("../../node_modules", import.meta.url));

function run(...args: string[]) {
  return spawnSync(process.execPath, [weir, "lab", ...args], { encoding: "utf8", env, timeout: 120_000, input: "in" });
}
const status = (): LabStatus => JSON.parse(run("status", "--name", lab, "-o", "json").stdout) as LabStatus;
const inPod = (pod: string, ...argv: string[]) => run("exec", "--name", lab, pod, "--", ...argv);

interface PodOptions {
  annotations?: Record<string, string>;
  spec?: object;
  container?: object;
}
function pod(name: string, { annotations = {}, spec = {}, container = {} }: PodOptions = {}): string {
  const containers = [{ name: "c", command: ["sleep", "infinity"], ...container }];
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, annotations },
    spec: { containers, ...spec },
  });
}
function write(name: string, ...documents: string[]): string {
  writeFileSync(`${scratch}/${name}`, documents.join("\n---\n"));
  return `${scratch}/${name}`;
}

beforeAll(async () => {
  await build({
    entryPoints: [fileURLToPath(new URL("testing/main.ts", import.meta.url))],
    outfile: weir,
    bundle: true,
    format: "esm",
    platform: "node",
    external: ["koffi"],
    logLevel: "silent",
    banner: { js: 'import { createRequire as make } from "node:module"; const require = make(import.meta.url);' },
  });
  symlinkSync(modules, `${scratch}/node_modules`);
  mkdirSync(`${scratch}/manifests`);
  const rootfs = makeTar([
    { path: "bin/", type: "5" },
    { path: "bin/busy", data: readFileSync("/sbin/ldconfig"), mode: 0o755 },
  ]);
  const config = { config: { Entrypoint: ["/nothing"], Env: ["FROM=image"] } };
  writeFileSync(
    `${scratch}/image.tar`,
    makeTar([
      { path: "manifest.json", data: JSON.stringify([{ Config: "c", Layers: ["l"] }]) },
      { path: "c", data: JSON.stringify(config) },
      { path: "l", data: rootfs },
    ]),
  );
  write(
    "manifests/a.yaml",
    pod("a", { container: { env: [{ name: "FOO", value: "b a$(z)r; $HOME" }] }, spec: { nodeName: "node-2" } }),
    pod("host", { spec: { hostNetwork: true, nodeName: "node-1" } }),
    pod("once", { container: { command: ["sh", "-c", "exit 0"] }, spec: { restartPolicy: "Never" } }),
  );
  const up = run(
    "up",
    "--name",
    lab,
    "-f",
    `${scratch}/manifests`,
    "--nodes",
    "2",
    "--image",
    `app:1=${scratch}/image.tar`,
  );
  expect(up.stderr).toContain("is up after");
  expect(up.status).toBe(0);
});
afterAll(() => {
  run("down", "--name", lab);
  rmSync(scratch, { recursive: true, force: true });
});

describe("weir lab", () => {
  it("shows nodes and pods", () => {
    const { nodes, pods, ready } = status();
    expect(ready).toBe(true);
    expect(nodes.map((node) => node.name)).toEqual(["node-1", "node-2"]);
    expect(pods.map((one) => [one.name, one.node, one.phase])).toEqual([
      ["a", "node-2", "Running"],
      ["host", "node-1", "Running"],
      ["once", "node-1", "Succeeded"],
    ]);
  });

  it("releases the network of an ended pod, and keeps those of others", async () => {
    const left = () => status().pods.filter(({ netns }) => existsSync(`/run/netns/${netns}`));
    await eventually(() => expect(left().map(({ name }) => name)).toEqual(["a", "host"]));
  });

  it("runs commands in the pod: network, host name, variables, process table, cgroup", () => {
    expect(inPod("a", "ls", "/sys/class/net").stdout.split("\n").filter(Boolean)).toEqual(["eth0", "lo"]);
    expect(inPod("a", "hostname").stdout).toBe("a\n");
    expect(inPod("a", "printenv", "FOO").stdout).toBe("b a$(z)r; $HOME\n");
    expect(inPod("a", "cat", "/proc/1/cmdline").stdout).toBe("sleep\0infinity\0");
    const found = status().pods.find((one) => one.name === "a");
    expect(inPod("a", "cat", "/proc/self/cgroup").stdout).toContain(`0::/weir-${lab}/node-2/pod${found?.uid}\n`);
    expect(inPod("a", "cat", "/etc/hosts").stdout).toContain(`${found?.ips[0]} a\n`);
  });

  it("gives a pod on its node's network the node's devices", () => {
    expect(inPod("host", "ip", "-br", "addr").stdout).toContain("172.30.0.1/24");
  });

  it("passes stdio, exit codes and signals", async () => {
    expect(inPod("a", "cat").stdout).toBe("in");
    expect(inPod("a", "sh", "-c", "echo err >&2; exit 7")).toMatchObject({ status: 7, stderr: "err\n" });
    expect(inPod("a", "sh", "-c", "kill -9 $$").status).toBe(137);
    const child = spawn(
      process.execPath,
      [
        weir,
        "lab",
        "exec",
        "--name",
        lab,
        "a",
        "--",
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo on; while :; do sleep 0.05; done",
      ],
      { env },
    );
    const code = new Promise((resolve) => child.once("exit", resolve));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGTERM");
    expect(await code).toBe(5);
  });

  it("passes a terminal: the command is in its foreground and handles Ctrl+C itself", async () => {
    const program =
      'process.on("SIGINT", () => process.exit(6)); console.log(process.stdin.isTTY); setInterval(Date, 99)';
    const command = [process.execPath, weir, "lab", "exec", "--name", lab, "a", "--", process.execPath, "-e", program];
    // With exec no shell remains: it would end by Ctrl+C and hide the command's exit code.
    const line = `exec ${command.map((word) => `'${word}'`).join(" ")}`;
    const inside = spawn("script", ["-qec", line, "/dev/null"], { env: { ...env, SHELL: "/bin/sh" } });
    const code = new Promise((resolve) => inside.once("exit", resolve));
    const first = await new Promise((resolve) => inside.stdout.once("data", (chunk) => resolve(String(chunk))));
    expect(first).toContain("true");
    inside.stdin.write("\x03");
    expect(await code).toBe(6);
  });

  it.each([
    ["nope", /no such pod/],
    ["once", /does not run/],
  ])("reports why it cannot enter %s", (name, reason) => {
    expect(inPod(name, "true")).toMatchObject({ status: 1, stderr: expect.stringMatching(reason) });
  });

  it("a pod's mounts contain no other namespaces and no pins", () => {
    const { stdout } = inPod("a", "cat", "/proc/self/mountinfo");
    expect(stdout).not.toMatch(/ - bpf | - nsfs /);
  });

  it("restarts a killed agent at once", async () => {
    const before = status().nodes[0]?.agentPid ?? 0;
    process.kill(before, "SIGKILL");
    await expect.poll(() => status().nodes[0]?.agentPid, { timeout: 60_000 }).not.toBe(before);
    expect(status().nodes[0]).toMatchObject({ agentRestarts: 1, agentLastExit: "SIGKILL" });
  });

  it("runs agents with a reduced bounding set", () => {
    const line = readFileSync(`/proc/${status().nodes[1]?.agentPid}/status`, "utf8").match(/CapEff:\s*(\w+)/);
    const all = BigInt(`0x${line?.[1]}`);
    expect(all & (1n << 12n)).not.toBe(0n); // net_admin
    expect(all & (1n << 16n)).toBe(0n); // sys_module
  });

  it("applies a change without restarting the pod, and reports the problems of another", () => {
    const before = status().pods.find((one) => one.name === "a");
    const container = { env: [{ name: "FOO", value: "b a$(z)r; $HOME" }] };
    const spec = { nodeName: "node-2" };
    const good = write("change.yaml", pod("a", { annotations: { "test/x": "y" }, container, spec }));
    expect(run("apply", "--name", lab, "-f", good).status).toBe(0);
    const after = status().pods.find((one) => one.name === "a");
    expect(after).toMatchObject({ uid: before?.uid, containers: [{ pid: before?.containers[0]?.pid }] });
    expect(Number(after?.resourceVersion)).toBeGreaterThan(Number(before?.resourceVersion));
    const bad = write("bad.yaml", pod("a", { annotations: { "test/bad": "y" }, container, spec }));
    expect(run("apply", "--name", lab, "-f", bad)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/is bad/),
    });
    expect(run("apply", "--name", lab, "-f", write("no.yaml", pod("A b")))).toMatchObject({ status: 1 });
  });

  it("waiting for a pod that does not get ready blocks neither other changes nor the pod's removal", async () => {
    const readinessProbe = { exec: { command: ["false"] }, periodSeconds: 1 };
    const unready = write("unready.yaml", pod("unready", { container: { readinessProbe } }));
    const argv = [weir, "lab", "apply", "--name", lab, "-f", unready];
    const ended = once(spawn(process.execPath, argv, { env, stdio: "ignore" }), "exit");
    await eventually(() => expect(status().pods.map(({ name }) => name)).toContain("unready"));
    const other = write("other.yaml", pod("other"));
    expect(run("apply", "--name", lab, "-f", other).status).toBe(0);
    expect(run("delete", "--name", lab, "-f", other, "-f", unready).status).toBe(0);
    expect(await ended).toEqual([0, null]); // Exit code 1 if it had timed out.
  });

  it("runs a container from an image archive in its own root, and deletes it", () => {
    // ldconfig is linked statically; in the image it finds no library, and prints that.
    const container = { image: "app:1", command: ["/bin/busy", "-N", "-X", "-v"] };
    const path = write("image.yaml", pod("boxed", { container, spec: { restartPolicy: "Never" } }));
    const applied = run("apply", "--name", lab, "-f", path);
    expect(applied.stderr).not.toContain("✖");
    expect(applied.status).toBe(0);
    const logs = run("logs", "--name", lab, "boxed").stdout;
    expect(logs).toContain("/bin/busy: Can't stat /usr/lib: No such file");
    const bad = write("absent.yaml", pod("absent", { container: { image: "app:1", command: ["/bin/sh"] } }));
    expect(run("apply", "--name", lab, "-f", bad).stderr).toMatch(/No such file or directory/);
    expect(run("delete", "--name", lab, "-f", bad).status).toBe(0);
    expect(run("delete", "--name", lab, "-f", path)).toMatchObject({
      status: 0,
      stdout: "deleted Pod/default/boxed\n",
    });
    expect(status().pods.map((one) => one.name)).not.toContain("boxed");
    expect(readdirSync("/run/netns")).not.toContain(`weir.${lab}.default.boxed`);
  });

  it("mounts volumes at existing and missing paths, and does not change the machine", () => {
    const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "conf" }, data: { "a.txt": "one", b: "two" } };
    const volumes = [
      { name: "conf", configMap: { name: "conf" } },
      { name: "scratch", emptyDir: {} },
      { name: "secret", secret: { secretName: "s" } },
    ];
    const volumeMounts = [
      { name: "conf", mountPath: "/weir-top" },
      { name: "conf", mountPath: "/etc/weir-deep/b.conf", subPath: "b" },
      { name: "scratch", mountPath: "/mnt" },
    ];
    const text = pod("vol", { container: { volumeMounts }, spec: { volumes } });
    const applied = run("apply", "--name", lab, "-f", write("vol.yaml", JSON.stringify(map), text));
    expect(applied.status).toBe(0);
    expect(applied.stderr).toContain('"secret" volumes are not mounted');
    expect(inPod("vol", "cat", "/weir-top/a.txt", "/etc/weir-deep/b.conf").stdout).toBe("onetwo");
    expect(inPod("vol", "sh", "-c", "echo x > /weir-top/a.txt").stderr).toMatch(/Read-only/);
    expect(
      inPod("vol", "sh", "-c", "echo x > /mnt/f && cat /mnt/f && test -x /usr/bin/env && test -e /etc/passwd").stdout,
    ).toBe("x\n");
    expect(inPod("vol", "ls", "/sys/class/net").stdout).toBe("eth0\nlo\n");
    expect([existsSync("/weir-top"), existsSync("/etc/weir-deep"), existsSync("/mnt/f")]).toEqual([
      false,
      false,
      false,
    ]);
    const gone = write(
      "gone.yaml",
      pod("gone", { container: { volumeMounts }, spec: { volumes } }).replaceAll('"conf"}', '"none"}'),
    );
    expect(run("apply", "--name", lab, "-f", gone).stderr).toMatch(/no ConfigMap default\/none/);
    expect(run("delete", "--name", lab, "-f", gone).status).toBe(0);
  });

  it("runs a script from a ConfigMap, in a created working directory, with nested volumes", () => {
    const map = {
      ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "bin" } },
      data: { run: "#!/bin/sh\npwd > /scratch/here\nexec sleep infinity\n" },
      binaryData: { bytes: "AAH/" },
    };
    const volumes = [
      { name: "bin", configMap: { name: "bin", defaultMode: 0o755 } },
      { name: "scratch", emptyDir: {} },
    ];
    const volumeMounts = [
      { name: "scratch", mountPath: "/scratch/deep/er", subPath: "sub" },
      { name: "scratch", mountPath: "/scratch" },
      { name: "bin", mountPath: "/scratch/bin" },
    ];
    const container = { command: ["/scratch/bin/run"], workingDir: "/no-such-place/app", volumeMounts };
    const applied = run(
      "apply",
      "--name",
      lab,
      "-f",
      write("run.yaml", JSON.stringify(map), pod("run", { container, spec: { volumes } })),
    );
    expect([applied.status, applied.stderr]).toEqual([0, expect.not.stringContaining("✖")]);
    expect(inPod("run", "cat", "/scratch/here").stdout).toBe("/no-such-place/app\n");
    expect(inPod("run", "sh", "-c", "touch /scratch/deep/er/x /no-such-place/app/y; ls /scratch/sub").stdout).toBe(
      "x\n",
    );
    expect(inPod("run", "od", "-An", "-tx1", "/scratch/bin/bytes").stdout.trim()).toBe("00 01 ff");
    expect(existsSync("/no-such-place")).toBe(false);
    const absent = pod("absent2", {
      container: { command: ["/no-such"], volumeMounts: [{ name: "t", mountPath: "/top-of-it" }] },
      spec: { volumes: [{ name: "t", emptyDir: {} }] },
    });
    const refused = run("apply", "--name", lab, "-f", write("absent2.yaml", absent));
    expect(refused.stderr).toContain("start /no-such on this machine: ");
    expect(run("delete", "--name", lab, "-f", write("absent2.yaml", absent)).status).toBe(0);
  });

  it("creates nothing on the machine through a symbolic link that a container made in a volume", async () => {
    const outside = `${scratch}/outside`;
    mkdirSync(outside);
    const mount = (rest: object) => ({ volumeMounts: [{ name: "shared", mountPath: "/shared", ...rest }] });
    const attack = `until test -d /shared/d/made; do sleep 0.02; done; rm -r /shared/d; ln -s ${outside} /shared/d`;
    const containers = [
      { name: "attacker", command: ["sh", "-c", `${attack}; exec sleep infinity`], ...mount({}) },
      { name: "again", command: ["sh", "-c", "sleep 0.2; exit 1"], ...mount({ subPath: "d/made" }) },
    ];
    const path = write("evil.yaml", pod("evil", { spec: { volumes: [{ name: "shared", emptyDir: {} }], containers } }));
    run("apply", "--name", lab, "-f", path);
    const again = () => status().pods.find((one) => one.name === "evil")?.containers[1];
    await expect.poll(() => String(again()?.reason), { timeout: 60_000 }).toMatch(/refused \(it leads out\)/);
    expect(readdirSync(outside)).toEqual([]);
    run("delete", "--name", lab, "-f", path);
  });

  podTests(() => ({
    run: (verb, ...args) => run(verb, "--name", lab, ...args),
    ...{ inPod, status, scratch },
    write: (...objects) => write("pods.yaml", ...objects.map((one) => JSON.stringify(one))),
    watched: (name, ...objects) => write(`manifests/${name}`, ...objects.map((one) => JSON.stringify(one))),
  }));

  it("is removed completely while other labs are removed at the same time", async () => {
    const beside = Array.from({ length: 4 }, (_, index) => `${lab}-${index}`);
    const all = (verb: string, ...rest: string[]) =>
      Promise.all(
        beside.map(
          (name) =>
            new Promise<number | null>((resolve) => {
              const child = spawn(process.execPath, [weir, "lab", verb, "--name", name, ...rest], {
                env,
                stdio: "ignore",
              });
              child.once("close", resolve);
            }),
        ),
      );
    const path = write("beside.yaml", pod("a"));
    expect(await all("up", "-f", path)).toEqual([0, 0, 0, 0]);
    expect(await all("down")).toEqual([0, 0, 0, 0]);
    expect(readdirSync("/run/weir/labs").filter((name) => name.startsWith(`${lab}-`))).toEqual([]);
    expect(status().ready).toBe(true);
  });

  it("follows changes in the watched folder", async () => {
    const path = write("manifests/b.yaml", pod("b"));
    await expect.poll(() => status().pods.find((one) => one.name === "b")?.phase, { timeout: 60_000 }).toBe("Running");
    rmSync(path);
    await expect.poll(() => status().pods.some((one) => one.name === "b"), { timeout: 60_000 }).toBe(false);
  });

  it("refuses a second lab of the same name, bad manifests and unknown images, and creates nothing", () => {
    expect(run("up", "--name", lab, "--nodes", "1")).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/already/),
    });
    const path = write("unknown.yaml", pod("u", { container: { command: [], image: "nginx" } }));
    const up = run("up", "--name", `${lab}b`, "-f", path);
    expect(up).toMatchObject({ status: 1, stderr: expect.stringMatching(/image "nginx" is unknown/) });
    expect(run("list", "-o", "json").stdout).not.toContain(`${lab}b`);
  });
});
