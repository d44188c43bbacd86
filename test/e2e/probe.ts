import { ECHO_PORT } from "../../src/bench/pods.ts";
import type { Stage } from "../../src/bench/stage.ts";

export interface Target {
  name: string;
  ip: string;
}

/** The results of one pod towards one address. Texts are the tools' output, empty on success. */
export interface ProbeResult {
  name: string;
  ip: string;
  ping: string;
  fullSize: string;
  /** Output of `ping` for a packet one byte larger than the MTU, with fragmentation forbidden. */
  tooBig: string;
  tcp: string;
  udp: string;
  /** Addresses that answered, hop by hop. */
  traceroute: string[];
  tracepath: string;
}

/**
 * Runs in a pod: tests all targets, a few at a time. UDP is a full-size datagram and its echo, TCP 300 kB and their
 * echo.
 */
const SCRIPT = `
const { execFile } = require("node:child_process"), net = require("node:net"), dgram = require("node:dgram");
const { targets, mtu, port } = JSON.parse(process.argv[1]);
const run = (file, args) => new Promise((done) =>
  execFile(file, args, { timeout: 20000 }, (error, out, err) => done({ ok: !error, text: (out + err).trim() })));
const ping = async (ip, args) => { const r = await run("ping", ["-n", "-c1", "-W2", ...args, ip]); return r.ok ? "" : r.text || "failed"; };
const tcp = (host) => new Promise((done) => {
  const data = Buffer.alloc(300000, host);
  const got = [];
  let size = 0;
  const s = net.connect({ host, port, timeout: 5000 }, () => s.end(data));
  s.on("data", (d) => { got.push(d); size += d.length; });
  s.on("timeout", () => s.destroy(new Error("timeout after " + size + " bytes")));
  s.on("error", (e) => done(e.message));
  s.on("end", () => done(Buffer.concat(got).equals(data) ? "" : "echo differs: " + size + " bytes"));
});
const udp = (host, v6) => new Promise((done) => {
  const s = dgram.createSocket(v6 ? "udp6" : "udp4"), data = Buffer.alloc(mtu - (v6 ? 48 : 28), host);
  const end = (text) => { clearTimeout(timer); s.close(); done(text); };
  const timer = setTimeout(() => end("no echo"), 3000);
  s.on("error", (e) => end(e.message));
  s.on("message", (m) => end(m.equals(data) ? "" : "echo differs"));
  s.send(data, port, host);
});
const hops = (text) => text.split("\\n").slice(1).map((line) => line.trim().split(/\\s+/)[1] ?? "");
const probe = async ({ name, ip }) => {
  const v6 = ip.includes(":"), family = v6 ? "-6" : "-4", size = mtu - (v6 ? 48 : 28);
  const full = ["-M", "do", "-s"];
  const found = { name, ip, ping: await ping(ip, []), fullSize: await ping(ip, [...full, String(size)]) };
  found.tooBig = await ping(ip, [...full, String(size + 1), "-W1"]);
  found.tcp = await tcp(ip);
  found.udp = await udp(ip, v6);
  found.traceroute = hops((await run("traceroute", [family, "-n", "-q1", "-w2", "-m6", ip])).text);
  found.tracepath = (await run("tracepath", [family, "-n", "-m6", ip])).text;
  return found;
};
const queue = [...targets], results = [];
const worker = async () => { for (let t; (t = queue.shift()); ) results.push(await probe(t)); };
Promise.all([1, 2, 3, 4].map(worker)).then(() => process.stdout.write(JSON.stringify(results)));
`;

/** Probes all targets from a pod. `mtu` is that of its device. */
export async function probe(
  stage: Stage,
  pod: string,
  targets: readonly Target[],
  mtu: number,
): Promise<ProbeResult[]> {
  const argv = [process.execPath, "-e", SCRIPT, JSON.stringify({ targets, mtu, port: ECHO_PORT })];
  return JSON.parse(await stage.exec(pod, argv, 120_000)) as ProbeResult[];
}

/** A pod's default gateway of one family, from its routes. */
export async function gateway(stage: Stage, pod: string, family: 4 | 6): Promise<string> {
  const routes = JSON.parse(await stage.exec(pod, ["ip", `-${family}`, "-j", "route", "show", "default"]));
  const via = (routes as { gateway?: string }[])[0]?.gateway;
  if (via === undefined) throw new Error(`find IPv${family} gateway of pod ${pod}: no default route`);
  return via;
}

/** MTU of a pod's `eth0`. */
export async function podMtu(stage: Stage, pod: string): Promise<number> {
  const links = JSON.parse(await stage.exec(pod, ["ip", "-j", "link", "show", "eth0"]));
  return (links as { mtu: number }[])[0]?.mtu ?? 0;
}
