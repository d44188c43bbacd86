// Two nodes, a shop's pods with limits, traffic against each limit, and what was measured. Under a minute.
// usage: demo.mjs [--keep]      --keep: leave the lab running
import { execFile, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
delete process.env.NODE_EXTRA_CA_CERTS; // 40 ms at every start of node
const LAB = "demo";
const WEIR = "./bin/weir";
const SECONDS = 10; // after a first one that is left out: a flow's first second has its own rule
const IP_AND_TCP = 52; // bytes of IPv4 and TCP headers with timestamps
const keep = process.argv.includes("--keep");
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());

/** Runs weir with this process's stdio. */
async function show(...args) {
  process.stdout.write(`\n$ weir ${args.join(" ")}\n`);
  const child = spawn(WEIR, args, { stdio: ["ignore", "inherit", "inherit"], signal: stop.signal });
  await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`weir ${args[0]} ended with code ${code}`)),
    );
  });
}

const run = promisify(execFile);

async function items(what) {
  const { stdout } = await run(WEIR, ["get", what, "--lab", LAB, "-o", "json"], { signal: stop.signal });
  return JSON.parse(stdout).items;
}

/** One flow into or out of a limited pod, from or to the visitor on another node. Resolves to bit/s at layer 3. */
async function flow(limit, pods) {
  const pod = pods.find((item) => item.namespace === limit.namespace && item.name === limit.pod);
  const visitor = pods.find((item) => item.name.startsWith("visitor") && item.node !== pod.node);
  const address = pod.ips.find((ip) => ip.includes("."));
  const reverse = limit.direction === "egress" ? ["--reverse"] : [];
  const client = ["iperf3", "--client", address, "--time", String(SECONDS), "--omit", "1", "--json", ...reverse];
  const args = ["lab", "exec", "--name", LAB, "-n", visitor.namespace, visitor.name, "--", ...client];
  const { stdout } = await run(WEIR, args, { signal: stop.signal, maxBuffer: 1 << 24 });
  const { start, end } = JSON.parse(stdout);
  const mss = start.tcp_mss_default;
  return (end.sum_received.bits_per_second * (mss + IP_AND_TCP)) / mss;
}

/** All limits of one direction at once; the agents' measurements are read while the traffic runs. */
async function round(limits, pods) {
  const flows = Promise.all(limits.map((limit) => flow(limit, pods)));
  flows.catch(() => {}); // reported where it is awaited
  await sleep(SECONDS * 1000, undefined, { signal: stop.signal });
  const receipts = await items("limits");
  const received = await flows;
  return limits.map((limit, index) => {
    const same = (item) =>
      item.namespace === limit.namespace && item.pod === limit.pod && item.direction === limit.direction;
    return { ...limit, ...receipts.find(same), received: received[index] };
  });
}

const megabits = (bits) => (typeof bits === "number" ? (bits / 1e6).toFixed(2) : "-");

const COLUMNS = {
  POD: (row) => row.pod,
  NODE: (row) => row.node,
  DIRECTION: (row) => row.direction,
  RULE: (row) => `${row.source}: ${row.written}`,
  CONFIGURED: (row) => megabits(row.configured),
  EFFECTIVE: (row) => megabits(row.effective),
  MEASURED: (row) => megabits(row.measured),
  IPERF3: (row) => megabits(row.received),
  ERROR: (row) => row.reason ?? `${((row.received / row.configured - 1) * 100).toFixed(2)} %`,
};

function print(rows) {
  const lines = [Object.keys(COLUMNS), ...rows.map((row) => Object.values(COLUMNS).map((value) => value(row)))];
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  process.stdout.write(`\nEach limit under one TCP flow from another node, ${SECONDS} s, Mbit/s at layer 3. MEASURED is what the
agent saw meanwhile, IPERF3 what the receiver got, ERROR its distance from what is configured.\n\n`);
  for (const line of lines) {
    process.stdout.write(
      `${line
        .map((text, column) => text.padEnd(widths[column]))
        .join("  ")
        .trimEnd()}\n`,
    );
  }
}

async function demo() {
  await show("lab", "up", "--name", LAB, "-f", "examples/shop.yaml", "--nodes", "2");
  await show("get", "pods", "--lab", LAB);
  const pods = await items("pods");
  const limits = await items("limits");
  process.stdout.write(
    `\nTraffic against ${limits.length} limits: first all that pods receive, then all that they send…\n`,
  );
  const rows = [];
  for (const direction of ["ingress", "egress"]) {
    rows.push(
      ...(await round(
        limits.filter((limit) => limit.direction === direction),
        pods,
      )),
    );
  }
  print(rows);
}

try {
  await demo();
} catch (error) {
  process.stderr.write(`demo: ${stop.signal.aborted ? "stopped" : error.message}\n`);
  process.exitCode = 1;
}
if (keep)
  process.stdout.write(`\nThe lab runs on. ./bin/weir get limits --lab ${LAB}; ./bin/weir lab down --name ${LAB}\n`);
else await run(WEIR, ["lab", "down", "--name", LAB]);
