import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { namespacePath } from "../kernel/index.ts";
import { World } from "./testing/acting.ts";

/** Real packets of two pods through a panel whose functions track flows; nobody removes a row. */
let world: World;
beforeAll(() => {
  world = new World();
});
afterAll(() => world?.close());

/** Runs JavaScript in a pod. */
function run(pod: string, script: string): ChildProcess {
  const netns = `--net=${namespacePath(world.bench.pod(pod))}`;
  return spawn("nsenter", [netns, process.execPath, "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
}

/** All that a process prints until it ends. */
async function output(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (data: string) => {
    text += data;
  });
  await once(child, "close");
  return text;
}

const FLOWS = 30_000;
const flows = () => [...(world.panel.flows?.rows() ?? [])].sort((one, other) => other.age - one.age);

describe("a pod that opens flows as fast as it can", () => {
  test("ends no connection of another pod, and does not prevent its new ones", async () => {
    const state = world.pair();
    world.act("left", { verdict: "track", arg: 8, extra: "right:b" });
    world.act("right", { verdict: "track", arg: 8, extra: "left:a" });
    world.apply(state);
    const server = run("a", SERVER);
    await once(server.stdout as NodeJS.ReadableStream, "data"); // it listens
    const client = run("b", CLIENT);
    const talked = output(client);
    await once(client.stdout as NodeJS.ReadableStream, "data"); // its first connection is open
    const kept = flows().filter(({ state }) => state === "tcp-established")[0]?.cut;
    expect(await output(run("a", FLOOD))).toBe("done");
    expect(flows().map(({ cut }) => cut)).toContainEqual(kept);
    client.stdin?.end();
    const { rounds, errors } = JSON.parse((await talked).replace("connected", "")) as {
      rounds: number;
      errors: string[];
    };
    server.kill();
    await once(server, "close");
    expect(errors).toEqual([]);
    expect(rounds).toBeGreaterThan(10);
    const table = world.panel.flows;
    const [attacker, victim] = ["left:a", "right:b"].map((port) => table?.owner(world.ids().port(port)));
    expect(attacker).toMatchObject({ evicted: 0n, refused: 0n });
    expect(Number(attacker?.opened)).toBeGreaterThanOrEqual(FLOWS);
    expect(victim).toMatchObject({ lost: 0n, refused: 0n });
    expect(Number(victim?.opened)).toBe(rounds + 1);
  });
});

/** Gives back what it is sent. */
const SERVER = `
const server = require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket));
server.listen(7, "10.9.0.1", () => console.log("ready"));
`;

/** Keeps a connection, and opens one after the other besides, each for one question; until its input ends. */
const CLIENT = `
const net = require("node:net");
const errors = [];
const ask = (socket) => new Promise((resolve) => {
  socket.once("data", resolve).write("x");
});
const connect = () => new Promise((resolve, reject) => {
  const socket = net.connect({ host: "10.9.0.1", port: 7 }, () => resolve(socket)).on("error", ({ code }) => {
    errors.push(code);
    reject(code);
  });
});
process.on("unhandledRejection", () => {}); // it is among the errors
(async () => {
  const kept = await connect();
  process.stdout.write("connected");
  let [rounds, ends] = [0, false];
  process.stdin.on("end", () => { ends = true; }).resume();
  while (!ends && errors.length === 0) {
    const socket = await connect();
    await ask(socket);
    socket.destroy();
    await ask(kept);
    rounds++;
  }
  kept.destroy();
  process.stdout.write(JSON.stringify({ rounds, errors }));
})();
`;

/** A datagram to each of many ports, as fast as they are taken. */
const FLOOD = `
const socket = require("node:dgram").createSocket("udp4");
let [sent, acknowledged] = [0, 0];
socket.bind(() => {
  const more = () => {
    for (let n = 0; n < 100; n++) {
      socket.send("x", 10000 + sent++, "10.9.0.2", (error) => {
        if (error) throw error;
        if (++acknowledged === ${FLOWS}) socket.close(() => process.stdout.write("done"));
      });
    }
    if (sent < ${FLOWS}) setImmediate(more);
  };
  more();
});
`;
