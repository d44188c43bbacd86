import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { namespacePath } from "../../../kernel/index.ts";

const SIZE = 20_000_000;
const SERVER = `
const hash = require("node:crypto").createHash("sha256");
const server = require("node:net").createServer((socket) => {
  socket.on("data", (data) => hash.update(data));
  socket.on("end", () => { console.log(hash.digest("hex")); server.close(); });
});
server.listen({ host: process.argv[1], port: 5000 }, () => console.log("ready"));`;
const CLIENT = `
const data = Buffer.alloc(${SIZE}, "weir");
const socket = require("node:net").connect({ host: process.argv[1], port: 5000 }, () => socket.end(data));
socket.on("close", () => console.log(require("node:crypto").createHash("sha256").update(data).digest("hex")));`;

function start(namespace: string, script: string, address: string): ChildProcess {
  const command = [`--net=${namespacePath(namespace)}`, process.execPath, "-e", script, address];
  return spawn("nsenter", command, { stdio: ["ignore", "pipe", "inherit"], timeout: 20_000 });
}

/** Sends 20 MB over TCP between two namespaces. Returns whether every byte arrived. */
export async function transfer(from: string, to: string, address: string): Promise<boolean> {
  const server = start(to, SERVER, address);
  let received = "";
  server.stdout?.on("data", (data) => {
    received += String(data);
  });
  while (!received.startsWith("ready\n")) await once(server.stdout as NonNullable<typeof server.stdout>, "data");
  const client = start(from, CLIENT, address);
  let sent = "";
  client.stdout?.on("data", (data) => {
    sent += String(data);
  });
  await Promise.all([once(server, "close"), once(client, "close")]);
  return sent.length === 65 && received === `ready\n${sent}`;
}
