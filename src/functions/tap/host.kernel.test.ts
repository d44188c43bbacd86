import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cgroupId, createCgroup, killCgroup, removeCgroup } from "../../kernel/index.ts";
import type { Direction } from "../../model/directions.ts";
import type { ImpairRule } from "../../model/impair.ts";
import type { LimitRule } from "../../model/limits.ts";
import type { HostPod } from "../../model/node-context.ts";
import { binomialTest } from "../../model/statistics.ts";
import { DEVICE, HOST, Neighbour, POD } from "../testing/neighbour.ts";

/** The node's own namespace is Neighbour's "node"; its "pod" is another node behind the uplink. */
const KEY = "default/agent";
const UNLIKELY = 1e-4;
const DATAGRAMS = 400;
const ECHO_PORT = 7;
const SINK_PORT = 9;
/** A container's cgroup, two levels below the pod's. */
const CONTAINER = "container/init";

let world: Neighbour;
let cgroup: string;
let pod: HostPod;

beforeAll(() => {
  world = new Neighbour();
  cgroup = createCgroup(`weir-t${process.pid}-host`);
  createCgroup(`weir-t${process.pid}-host/${CONTAINER}`);
  const name = { namespace: "default", name: "agent", id: "host0123456789a" };
  pod = { ...name, device: DEVICE, mtu: 1500, cgroup: cgroupId(cgroup), ips: [HOST.v4, HOST.v6] };
});
afterAll(async () => {
  killCgroup(cgroup);
  await sleep(100);
  removeCgroup(cgroup);
  world?.close();
});
beforeEach(() => world.apply({ taps: [] }));

const enforce = (rules: { limits?: LimitRule[]; impairments?: ImpairRule[] }) =>
  world.apply({
    taps: [],
    hosts: [pod],
    limits: new Map([[KEY, rules.limits ?? []]]),
    impairments: new Map([[KEY, rules.impairments ?? []]]),
  });
const loss = (direction: Direction, probability: number): ImpairRule => ({
  ...{ id: "t", source: "t", configured: "t", direction, match: {}, exempt: { probes: false, dns: false } },
  effects: { loss: { model: "uniform", probability } },
});
const limit = (direction: Direction, rate: number): LimitRule => ({ direction, rate, source: "t", configured: "t" });

type Place = "node" | "far";
/** Wraps a command so that it runs in the pod's container, elsewhere on the node, or on the remote node. */
const argv = (place: Place | "pod", command: readonly string[]): string[] => {
  const enter = ["nsenter", `--net=${world.path(place === "far" ? "pod" : "node")}`, "--", ...command];
  const join = `echo $$ > ${cgroup}/${CONTAINER}/cgroup.procs; exec "$@"`;
  return place === "pod" ? ["sh", "-c", join, "sh", ...enter] : enter;
};
const run = (place: Place | "pod", ...command: string[]): string => {
  const [file = "", ...args] = argv(place, command);
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
};

/** Sends datagrams, paced so that no buffer overflows, and waits until they have left. */
const SEND = `
const [address, count, port] = process.argv.slice(1);
const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
let left = Number(count);
const step = () => {
  for (let i = 0; i < 20 && left > 0; i++, left--) socket.send("x", Number(port), address);
  if (left > 0) setTimeout(step, 2); else setTimeout(() => socket.close(), 20);
};
step();`;
/** Counts datagrams. Prints the count for each input line. */
const COUNT = `
const socket = require("node:dgram").createSocket({ type: "udp6", recvBufferSize: 1 << 20 });
let count = 0;
socket.on("message", () => count++);
socket.bind(Number(process.argv[1]), "::", () => console.log("ready"));
const tell = () => {
  const before = count;
  // after the pause, datagrams in the socket buffer are read before the second comparison
  setTimeout(() => setImmediate(() => (count === before ? console.log(count) : tell())), 50);
};
process.stdin.on("data", tell);`;

class Counter {
  readonly #child: ChildProcess;
  #text = "";

  constructor(place: Place | "pod", port: number) {
    const [file = "", ...args] = argv(place, [process.execPath, "-e", COUNT, `${port}`]);
    this.#child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (chunk) => {
      this.#text += chunk;
    });
  }
  async #line(): Promise<string> {
    await expect.poll(() => this.#text, { timeout: 60_000 }).toContain("\n");
    const line = this.#text.trim();
    this.#text = "";
    return line;
  }
  async ready(): Promise<void> {
    expect(await this.#line()).toBe("ready");
  }
  async total(): Promise<number> {
    this.#child.stdin?.write("?\n");
    return Number(await this.#line());
  }
  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }
}

describe.each([
  ["IPv4", HOST.v4, POD.v4],
  ["IPv6", HOST.v6, POD.v6],
] as const)("a pod in the node's network, %s", (_family, near, far) => {
  const through = async (from: Place | "pod", to: Place | "pod", port: number): Promise<number> => {
    const counter = new Counter(to, port);
    try {
      await counter.ready();
      run(from, process.execPath, "-e", SEND, to === "far" ? far : near, `${DATAGRAMS}`, `${port}`);
      return await counter.total();
    } finally {
      await counter.close();
    }
  };

  const stream = async (place: "pod" | "node", direction: Direction, seconds: number) => {
    await world.serve("pod");
    const flags = ["-t", `${seconds}`, "--json", "--connect-timeout", "2000"];
    const out = run(place, "iperf3", "-c", far, ...flags, ...(direction === "ingress" ? ["-R"] : []));
    const { sum_received, sum_sent } = JSON.parse(out).end;
    return { bits_per_second: sum_received.bits_per_second as number, retransmits: sum_sent.retransmits as number };
  };

  test("the rule's share of its UDP egress is lost, and no other on the node", async () => {
    enforce({ impairments: [loss("egress", 0.5)] });
    expect(binomialTest(DATAGRAMS - (await through("pod", "far", SINK_PORT)), DATAGRAMS, 0.5)).toBeGreaterThan(
      UNLIKELY,
    );
    enforce({ impairments: [loss("egress", 1)] });
    expect(await through("node", "far", SINK_PORT)).toBe(DATAGRAMS);
  });

  test("the rule's share of its UDP ingress is lost, and no other on the node", async () => {
    enforce({ impairments: [loss("ingress", 0.5)] });
    expect(binomialTest(DATAGRAMS - (await through("far", "pod", SINK_PORT)), DATAGRAMS, 0.5)).toBeGreaterThan(
      UNLIKELY,
    );
    enforce({ impairments: [loss("ingress", 1)] });
    expect(await through("far", "node", ECHO_PORT)).toBe(DATAGRAMS);
  });

  test.each(["egress", "ingress"] as const)("%s: its TCP is limited, another's is not", async (direction) => {
    enforce({ limits: [limit(direction, 20e6)] });
    const { bits_per_second: held } = await stream("pod", direction, 2);
    expect(held).toBeGreaterThan(20e6 * 0.4);
    expect(held).toBeLessThan(20e6 * 1.25);
    expect((await stream("node", direction, 1)).bits_per_second).toBeGreaterThan(20e6 * 2);
  });

  test("its TCP sees loss as in a network: it retransmits", async () => {
    enforce({ impairments: [loss("egress", 0.02)] });
    const counted = (): number => {
      const [names = [], values = []] = run("node", "cat", "/proc/net/snmp")
        .split("\n")
        .filter((line) => line.startsWith("Tcp:"))
        .map((line) => line.split(" "));
      return Number(values[names.indexOf("RetransSegs")]);
    };
    const before = counted();
    expect((await stream("pod", "egress", 1)).bits_per_second).toBeGreaterThan(0);
    expect(counted()).toBeGreaterThan(before);
  });

  test("packets that the node forwards are not counted as its socket's, whatever address that listens on", async () => {
    const [network, address] = far === POD.v4 ? ["10.99.0.0/24", "10.99.0.1"] : ["fd99::/64", "fd99::1"];
    const forwarding = far === POD.v4 ? "net.ipv4.ip_forward=1" : "net.ipv6.conf.all.forwarding=1";
    run("node", "sysctl", "-qw", forwarding);
    run("node", "ip", "route", "replace", network, "via", far);
    run("far", "ip", "route", "replace", network, "via", near);
    // only these packets: an earlier flow may still send to the socket
    const match = { ports: [{ protocol: "UDP", port: SINK_PORT, side: "pod" }] } as const;
    enforce({ impairments: [{ ...loss("ingress", 1), match }] });
    const counter = new Counter("pod", SINK_PORT);
    const { names } = world.panel;
    const isThere = ([key]: [Buffer, Buffer]) => names.isUsed("port", key.readUInt32LE());
    const dropped = () => world.panel.table("weir_drops").entries().filter(isThere).length;
    try {
      await counter.ready();
      expect(dropped()).toBe(0);
      run("far", process.execPath, "-e", SEND, address, "20", `${SINK_PORT}`);
      expect(dropped()).toBe(0);
      run("far", process.execPath, "-e", SEND, near, "20", `${SINK_PORT}`);
      expect(dropped()).toBe(1);
    } finally {
      await counter.close();
    }
  });
});

test("removing its last rule detaches the programs from the uplink", () => {
  const pins = () => readdirSync(join(world.panel.root, "links")).filter((pin) => pin.startsWith("%host"));
  enforce({});
  expect(pins()).toHaveLength(2);
  world.apply({ taps: [] });
  expect(pins()).toEqual([]);
});
