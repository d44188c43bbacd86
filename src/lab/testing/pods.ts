import { existsSync, readFileSync, rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { LabStatus } from "../index.ts";

/** A running lab of one node or more. */
export interface LabUnderTest {
  run(verb: string, ...args: string[]): { status: number | null; stdout: string; stderr: string };
  inPod(pod: string, ...argv: string[]): { stdout: string; stderr: string };
  status(): LabStatus;
  /** Writes a manifest of these objects and returns its path. */
  write(...objects: object[]): string;
  /** Writes a manifest into the folder that the lab watches. */
  watched(name: string, ...objects: object[]): string;
  /** A folder of the machine that containers see too. */
  scratch: string;
}

const sh = (script: string): string[] => ["sh", "-c", script];
const pod = (name: string, spec: object) => ({ apiVersion: "v1", kind: "Pod", metadata: { name }, spec });
const STATE = { volumes: [{ name: "state", emptyDir: {} }] };
const SEES = { volumeMounts: [{ name: "state", mountPath: "/state" }] };

/** The command line of a process; "" if it has ended. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** Tests of the kubelet's behaviour in a lab. */
export function podTests(get: () => LabUnderTest): void {
  const found = (name: string) =>
    get()
      .status()
      .pods.find((one) => one.name === name);
  const apply = (...objects: object[]) => get().run("apply", "-f", get().write(...objects));
  const remove = (...objects: object[]) => get().run("delete", "-f", get().write(...objects));

  describe("a pod's life", () => {
    it("runs init containers in order and a sidecar, and has its own host name, host aliases and sysctls", async () => {
      const { inPod, run } = get();
      const sysctl = (path: string): string => readFileSync(`/proc/sys/${path}`, "utf8");
      const paths = ["net/ipv4/ip_unprivileged_port_start", "kernel/shm_rmid_forced"];
      const before = paths.map(sysctl);
      const beside = "echo side >> /state/order; trap 'exit 0' TERM; while :; do sleep 0.05; done";
      const life = pod("life", {
        ...{ ...STATE, hostname: "hn", subdomain: "sd" },
        hostAliases: [{ ip: "10.9.9.9", hostnames: ["one", "two.example"] }],
        securityContext: {
          sysctls: [
            { name: "net.ipv4.ip_unprivileged_port_start", value: "80" },
            { name: "kernel.shm_rmid_forced", value: "1" },
          ],
        },
        initContainers: [
          { name: "first", command: sh("echo first >> /state/order; echo out"), ...SEES },
          {
            ...{ name: "side", restartPolicy: "Always", command: sh(beside), ...SEES },
            startupProbe: { exec: { command: ["grep", "side", "/state/order"] }, periodSeconds: 1 },
          },
          { name: "second", command: sh("echo second >> /state/order"), ...SEES },
        ],
        containers: [{ name: "main", command: ["sleep", "infinity"], ...SEES }],
      });
      const applied = apply(life);
      expect([applied.status, applied.stderr]).toEqual([0, expect.not.stringContaining("✖")]);
      expect(inPod("life", "cat", "/state/order").stdout).toBe("first\nside\nsecond\n");
      expect(found("life")).toMatchObject({
        ...{ phase: "Running", ready: true, message: null },
        initContainers: [
          { name: "first", over: true, exitCode: 0 },
          { name: "second", over: true, exitCode: 0 },
          { name: "side", state: "running", started: true },
        ],
      });
      expect(inPod("life", "hostname").stdout).toBe("hn\n");
      expect(inPod("life", "cat", "/etc/hosts").stdout).toContain(
        `${found("life")?.ips[0]} hn.sd.default.svc.cluster.local hn\n`,
      );
      expect(inPod("life", "cat", "/etc/hosts").stdout).toContain("10.9.9.9 one two.example\n");
      expect(inPod("life", "cat", ...paths.map((path) => `/proc/sys/${path}`)).stdout).toBe("80\n1\n");
      expect(paths.map(sysctl)).toEqual(before);
      run("delete", "-f", get().write(life));
    });

    it("fails when an init container fails, unless the container is restarted", () => {
      const never = pod("never", {
        ...{ restartPolicy: "Never", containers: [{ name: "c", command: ["sleep", "infinity"] }] },
        initContainers: [{ name: "i", command: sh("exit 3") }],
      });
      expect(apply(never)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("init container i: exit code 3"),
      });
      expect(found("never")).toMatchObject({ phase: "Failed", containers: [] });
      remove(never);
    });

    it("gets its termination grace period", () => {
      const mark = `${get().scratch}/ended-well`;
      const ends = `trap 'sleep 1.7; touch ${mark}; exit 0' TERM; while :; do sleep 0.05; done`;
      const grace = pod("grace", { containers: [{ name: "c", command: sh(ends) }] });
      const deaf = pod("deaf", {
        ...{ terminationGracePeriodSeconds: 0 },
        containers: [{ name: "c", command: sh("trap '' TERM; while :; do sleep 0.05; done") }],
      });
      apply(grace, deaf);
      expect(remove(grace, deaf).status).toBe(0);
      expect(existsSync(mark)).toBe(true);
    });

    it("ends at its active deadline, and so does a job", async () => {
      const one = pod("late", {
        activeDeadlineSeconds: 1,
        containers: [{ name: "c", command: ["sleep", "infinity"] }],
      });
      const job = (name: string, spec: object, command: string[]) => ({
        ...{ apiVersion: "batch/v1", kind: "Job", metadata: { name } },
        spec: { ...spec, template: { spec: { restartPolicy: "OnFailure", containers: [{ name: "c", command }] } } },
      });
      const jobs = [
        job("slow", { activeDeadlineSeconds: 1 }, ["sleep", "infinity"]),
        job("again", { backoffLimit: 1 }, ["false"]),
      ];
      apply(one, ...jobs);
      await expect.poll(() => found("late")?.phase, { timeout: 15_000 }).toBe("Failed");
      expect(found("late")).toMatchObject({ reason: "DeadlineExceeded", message: expect.stringContaining("longer") });
      const said = (): string =>
        get()
          .status()
          .problems.filter(({ severity }) => severity === undefined)
          .map(({ object, message }) => `${object} ${message}`)
          .join("\n");
      await expect.poll(said, { timeout: 15_000 }).toMatch(/Job\/default\/slow .*\(DeadlineExceeded\)/);
      await expect.poll(said, { timeout: 15_000 }).toMatch(/Job\/default\/again .*\(BackoffLimitExceeded\)/);
      const names = (): string =>
        get()
          .status()
          .pods.map((each) => each.name)
          .join();
      await expect.poll(names, { timeout: 15_000 }).not.toMatch(/slow|again/);
      remove(one, ...jobs);
      expect(said()).toBe("");
    });
  });

  describe("probes", () => {
    it("determine that a container has started, is ready, and must be restarted", async () => {
      const { inPod } = get();
      const server = [
        'const { existsSync, rmSync } = require("node:fs");',
        'rmSync("/state/dead", { force: true });',
        'require("node:http").createServer((ask, answer) => {',
        '  const good = ask.headers["x-probe"] === "yes" && !existsSync("/state/unready");',
        '  if (ask.url === "/") answer.writeHead(302, { location: "/ready" });',
        "  else answer.writeHead(good ? 204 : 503);",
        "  answer.end();",
        "}).listen(8099);",
      ].join("\n");
      const times = { periodSeconds: 1, timeoutSeconds: 5 };
      const web = pod("web", {
        ...{ ...STATE, hostNetwork: true, terminationGracePeriodSeconds: 1 }, // The first process of a PID namespace ignores SIGTERM if it has no handler, and Node.js has none.
        containers: [
          {
            ...{ name: "c", command: [process.execPath, "-e", server], ...SEES },
            ports: [{ name: "web", containerPort: 8099 }],
            startupProbe: { ...times, tcpSocket: { port: "web" }, failureThreshold: 30 },
            readinessProbe: {
              ...{ ...times, failureThreshold: 1 },
              httpGet: { port: "web", path: "/", httpHeaders: [{ name: "X-Probe", value: "yes" }] },
            },
            livenessProbe: { ...times, failureThreshold: 1, exec: { command: ["test", "!", "-e", "/state/dead"] } },
          },
        ],
      });
      const applied = apply(web);
      expect([applied.status, applied.stderr]).toEqual([0, expect.not.stringContaining("✖")]);
      expect(found("web")).toMatchObject({ ready: true, containers: [{ started: true, ready: true, restarts: 0 }] });
      inPod("web", "touch", "/state/unready");
      await expect.poll(() => found("web")?.message, { timeout: 15_000 }).toMatch(/is not ready .*HTTP status 503/);
      inPod("web", "rm", "/state/unready");
      await expect.poll(() => found("web")?.ready, { timeout: 15_000 }).toBe(true);
      inPod("web", "touch", "/state/dead");
      await expect.poll(() => found("web")?.containers[0]?.restarts, { timeout: 15_000 }).toBe(1);
      await expect.poll(() => found("web")?.ready, { timeout: 15_000 }).toBe(true);
      remove(web);
    });

    it("that hang are killed with their child processes", async () => {
      const hangs = pod("hangs", {
        containers: [
          {
            ...{ name: "c", command: ["sleep", "infinity"] },
            readinessProbe: { exec: { command: sh("sleep 1001; sleep 1002") }, periodSeconds: 1, failureThreshold: 2 },
          },
        ],
      });
      const file = get().watched("hangs.yaml", hangs); // `apply` would wait until the pod is ready.
      await expect.poll(() => found("hangs")?.message, { timeout: 20_000 }).toMatch(/no answer after 1 s/);
      const pids = readFileSync(`${found("hangs")?.cgroup}/cgroup.procs`, "utf8")
        .trim()
        .split("\n");
      expect(pids.map(commandOf).filter((command) => command === "sleep 1001 ").length).toBeLessThanOrEqual(1);
      rmSync(file);
      await expect.poll(() => found("hangs"), { timeout: 15_000 }).toBeUndefined();
    });
  });
}
