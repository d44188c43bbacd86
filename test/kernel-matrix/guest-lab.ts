/** Runs inside the test machine: a lab of two nodes with real traffic; one JSON line a check. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { check } from "./report.ts";

const MANIFESTS = "/tmp/manifests";
const LIMIT = 4_000_000; // slow enough for an emulated processor
const IP_AND_TCP = 52; // bytes of IPv4 and TCP headers with timestamps

interface PodItem {
  name: string;
  node: string;
  ips: string[];
}

function run(file: string, args: readonly string[]): string {
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 180_000 });
}
const weir = (...args: string[]): string => run("/weir/bin/weir", args);
/**
 * Runs a command in the pod's network namespace only: `weir lab exec` would start Node.js, which takes seconds here.
 */
const exec = (pod: string, ...command: string[]): string =>
  run("nsenter", [`--net=/run/netns/weir.default.default.${pod}`, "--", ...command]);

function pod(name: string, node: string, command: string[], annotations: Record<string, string> = {}): void {
  const manifest = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, annotations },
    spec: { nodeName: node, containers: [{ name: "main", image: "none", command }] },
  };
  writeFileSync(`${MANIFESTS}/${name}.yaml`, JSON.stringify(manifest));
}

let pods = new Map<string, PodItem>();
function address(name: string, family: 4 | 6): string {
  const ips = pods.get(name)?.ips ?? [];
  const found = ips.find((ip) => ip.includes(":") === (family === 6));
  if (!found) throw new Error(`find an IPv${family} address of pod ${name}: it has ${ips.join(", ") || "none"}`);
  return found;
}

function ping(to: string, family: 4 | 6): string {
  // Full-size packets: 1380 bytes and ICMP's 8 fit the overlay's MTU of 1450 with either family's headers.
  const output = exec("a", "ping", `-${family}`, "-c", "3", "-i", "0.2", "-W", "5", "-s", "1380", address(to, family));
  const line = output.split("\n").find((text) => text.includes("packets transmitted")) ?? output;
  if (!line.includes(" 0% packet loss")) throw new Error(line);
  return line;
}

/** Goodput of one TCP flow to a pod, bit/s at layer 3. */
function tcp(to: string, seconds: number): number {
  const options = ["--time", String(seconds), "--omit", "1", "--json"];
  const report = JSON.parse(exec("a", "iperf3", "--client", address(to, 4), ...options));
  const mss = report.start.tcp_mss_default;
  return (report.end.sum_received.bits_per_second * (mss + IP_AND_TCP)) / mss;
}

function lab(): void {
  mkdirSync(MANIFESTS);
  pod("a", "node-1", ["sleep", "infinity"]);
  pod("b", "node-1", ["iperf3", "--server"]);
  pod("c", "node-2", ["iperf3", "--server"]);
  pod("d", "node-2", ["iperf3", "--server"], { "kubernetes.io/ingress-bandwidth": String(LIMIT) });
  check("a lab of two nodes comes up", () => weir("lab", "up", "-f", MANIFESTS, "--nodes", "2"));
  check("the agents name their pods", () => {
    const items = (JSON.parse(weir("get", "pods", "-o", "json")) as { items: PodItem[] }).items;
    pods = new Map(items.map((item) => [item.name, item]));
    return items.map(({ name, node, ips }) => `${name} on ${node}: ${ips.join(", ")}`).join("; ");
  });
  for (const [where, to] of [
    ["on the same node", "b"],
    ["across nodes", "c"],
  ] as const) {
    check(`ping ${where}, IPv4`, () => ping(to, 4));
    check(`ping ${where}, IPv6`, () => ping(to, 6));
    check(`TCP ${where}`, () => {
      const rate = tcp(to, 2);
      if (rate < 1.5 * LIMIT) throw new Error(`unlimited pods got ${rate} bit/s only`);
      return `${(rate / 1e6).toFixed(1)} Mbit/s`;
    });
  }
  check("a limit holds", () => {
    const rate = tcp("d", 6);
    const error = rate / LIMIT - 1;
    // An emulated machine stalls at times; accuracy is measured on real ones.
    if (error < -0.6 || error > 0.25) throw new Error(`${rate} bit/s for a limit of ${LIMIT}`);
    return `${(rate / 1e6).toFixed(3)} Mbit/s of ${LIMIT / 1e6}`;
  });
  check("the lab leaves nothing behind", () => {
    weir("lab", "down");
    const left = ["/run/netns", "/sys/fs/bpf", "/run/weir"].flatMap((path) =>
      existsSync(path) ? readdirSync(path) : [],
    );
    if (left.length > 0) throw new Error(`left: ${left.join(", ")}`);
    return "no namespace, no pin, no state";
  });
}

lab();
