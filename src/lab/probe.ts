import { spawn } from "node:child_process";
import { type ClientRequest, request as http, type IncomingMessage } from "node:http";
import { request as https } from "node:https";
import { isIP, Socket, type SocketConstructorOpts } from "node:net";
import { connect as tls } from "node:tls";
import type { Container, HttpGet, Probe } from "../model/objects.ts";
import { insideCgroup } from "./cgroups.ts";
import { programPath } from "./run.ts";

/** The target of a probe. */
export interface ProbeTarget {
  container: Container;
  /** The container's first process. */
  init: number;
  cgroup: string;
  homeCgroup: string;
  env: Readonly<Record<string, string>>;
  /** Path of the network namespace of the connections: the node's, as with a kubelet. */
  netns: string;
  /** The pod's address. */
  ip: string;
}

/** A kubelet reads at most this much of an answer. */
const MOST_BODY = 10 * 1024;
const MOST_REDIRECTS = 10;
const MOST_SAID = 200;

/** Makes one attempt. Returns why it failed, or undefined; rejects if it could not be made, or `signal` was aborted. */
export async function attempt(target: ProbeTarget, probe: Probe, signal: AbortSignal): Promise<string | undefined> {
  if (probe.exec !== undefined) return runInside(target, probe.exec.command, signal);
  if (probe.httpGet !== undefined) return get(target, probe.httpGet, signal);
  if (probe.tcpSocket === undefined) return undefined;
  const socket = await connectTo(target, probe.tcpSocket, signal);
  socket.destroy();
  return undefined;
}

/**
 * Runs a command beside a container's first process. `signal` ends its process group; a child in another process group
 * ends with the container.
 */
function runInside(target: ProbeTarget, command: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  const enter = ["-t", String(target.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"];
  const child = insideCgroup(target.cgroup, target.homeCgroup, () =>
    spawn(programPath("nsenter"), [...enter, ...command], {
      ...{ stdio: ["ignore", "pipe", "pipe"], cwd: "/", env: target.env as NodeJS.ProcessEnv, detached: true },
    }),
  );
  let said = "";
  for (const output of [child.stdout, child.stderr]) {
    output?.on("data", (chunk) => {
      if (said.length < MOST_SAID) said += String(chunk).slice(0, MOST_SAID - said.length);
    });
  }
  const kill = (): void => {
    if (child.pid === undefined) return; // It was not started; kill(0) would signal this process's own group.
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {} // It has ended.
  };
  return new Promise<string | undefined>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, by) => {
      if (code === 0) return resolve(undefined);
      const last = said.trim().replace(/\s+/g, " ");
      resolve(`${by ?? `exit code ${code}`}${last === "" ? "" : `: ${last}`}`);
    });
    if (signal.aborted) kill();
    signal.addEventListener("abort", kill);
  }).finally(() => {
    signal.removeEventListener("abort", kill);
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
}

interface Place {
  host?: string | undefined;
  port: number | string;
}

function portOf({ container }: ProbeTarget, port: number | string): number {
  const found = typeof port === "number" ? port : container.ports?.find(({ name }) => name === port)?.containerPort;
  if (found === undefined) throw new Error(`the container has no port ${port}`);
  return found;
}

async function connectTo(target: ProbeTarget, place: Place, signal: AbortSignal): Promise<Socket> {
  const host = place.host === "localhost" ? "127.0.0.1" : (place.host ?? target.ip);
  const port = portOf(target, place.port);
  const family = isIP(host);
  if (family !== 4 && family !== 6)
    throw new Error(`${JSON.stringify(host)} is no address, and names are not resolved`);
  const { openStream } = await import("../kernel/index.ts");
  // manualStart: the socket cannot be read before it is connected.
  const options = { fd: openStream(target.netns, family), manualStart: true } as SocketConstructorOpts;
  const socket = new Socket(options);
  return new Promise((resolve, reject) => {
    const end = (): void => void socket.destroy(new Error("no answer"));
    socket.once("error", reject);
    socket.once("close", () => signal.removeEventListener("abort", end));
    socket.connect({ host, port }, () => resolve(socket));
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

async function get(target: ProbeTarget, probe: HttpGet, signal: AbortSignal): Promise<string | undefined> {
  const host = probe.host ?? target.ip;
  const named = host.includes(":") ? `[${host}]` : host;
  const begin = `${probe.scheme.toLowerCase()}://${named}:${portOf(target, probe.port)}`;
  let url = new URL(`${begin}${probe.path}`);
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const response = await ask(target, url, probe.httpHeaders, signal);
    const { statusCode = 0, headers } = response;
    await drain(response);
    const next = statusCode >= 300 && statusCode < 400 && headers.location ? new URL(headers.location, url) : undefined;
    // As in a kubelet: a redirect to another host counts as success and is not followed.
    if (next === undefined || next.hostname !== url.hostname) {
      return statusCode >= 200 && statusCode < 400 ? undefined : `HTTP status ${statusCode}`;
    }
    url = next;
  }
  return `more than ${MOST_REDIRECTS} redirects`;
}

async function ask(
  target: ProbeTarget,
  url: URL,
  headers: HttpGet["httpHeaders"],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const secure = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const socket = await connectTo(target, { host, port: Number(url.port || (secure ? 443 : 80)) }, signal);
  const over = secure ? tls({ socket, rejectUnauthorized: false }) : socket;
  const own = { "user-agent": "kube-probe/1.34", accept: "*/*", connection: "close" };
  const given = Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value]));
  return new Promise((resolve, reject) => {
    over.once("error", reject);
    let asking: ClientRequest;
    try {
      // No agent, not even `false`: Node.js would open its own connection, in this process's network namespace.
      const options = { createConnection: () => over, headers: { ...own, ...given }, signal };
      asking = (secure ? https : http)(url, options, resolve);
    } catch (error) {
      socket.destroy();
      return reject(error);
    }
    asking.once("error", reject);
    asking.once("close", () => socket.destroy());
    asking.end();
  });
}

/** Reads an answer as far as a kubelet does, and closes it. */
async function drain(response: IncomingMessage): Promise<void> {
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > MOST_BODY) break;
  }
  response.destroy();
}
