import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { createNamespace, inNamespace, namespacePath, removeNamespace } from "../kernel/index.ts";
import type { Pod } from "../model/objects.ts";
import { TapFinder } from "./taps.ts";

const id = (name: string): string => `weir-t${process.pid}-taps-${name}`;
const folder = mkdtempSync(join(tmpdir(), "weir-taps-"));
const ip = (name: string, ...words: string[]): string =>
  execFileSync("ip", ["-n", id(name), ...words], { encoding: "utf8" });
/** Where the finder looks: named network namespaces of pods, and no processes. */
const places = { bound: [join(folder, "netns")], proc: join(folder, "proc") };
const SPACES = ["node", "a", "b"];
const A = ["10.87.0.2", "fd87::2"];
const B = ["10.87.0.3", "fd87::3"];
const A_INDEX = 77;

let clock = 0;
let finder: TapFinder;
const start = (): void => {
  finder = new TapFinder(places, () => clock);
};
const find = (...pods: Pod[]) => inNamespace(namespacePath(id("node")), () => finder.find("n1", pods));
const isStale = () => inNamespace(namespacePath(id("node")), () => finder.isStale);
const pod = (name: string, ips: readonly string[], change: Partial<Pod> = {}): Pod => ({
  kind: "Pod",
  metadata: { namespace: "ns", name, uid: name, labels: {}, annotations: {} } as unknown as Pod["metadata"],
  nodeName: "n1",
  hostNetwork: false,
  containers: [],
  restartPolicy: "Always",
  ips,
  ...change,
});
const tap = (name: string, ips: readonly string[]) => ({ namespace: "ns", name, device: `veth-${name}`, ips });
const refused = (name: string, why: RegExp) => ({
  ...{ object: `Pod/ns/${name}`, path: "status.podIPs", severity: "warning" },
  message: expect.stringMatching(new RegExp(`^its rules are not enforced: ${why.source}`)),
  notFound: expect.stringMatching(new RegExp(`^${why.source}`)),
});
const assign = (name: string, device: string, ...addresses: string[]): void => {
  ip(name, "link", "set", device, "up");
  for (const address of addresses) ip(name, "addr", "add", address, "dev", device);
};
/**
 * Connects the node to a pod's namespace by a veth, as other networks do. @param index ifindex of the pod's end; the
 * node's is ten times that
 */
function connect(name: string, addresses: readonly string[], index: number): void {
  const peer = ["peer", "name", "eth0", "index", `${index}`, "netns", id(name)];
  ip("node", "link", "add", `veth-${name}`, "index", `${index * 10}`, "type", "veth", ...peer);
  assign(name, "eth0", ...addresses);
}
function makeSpace(name: string): void {
  createNamespace(id(name));
  symlinkSync(namespacePath(id(name)), join(folder, "netns", name));
}
function removeSpace(name: string): void {
  removeNamespace(id(name));
  rmSync(join(folder, "netns", name), { force: true });
}

beforeAll(() => {
  for (const name of ["netns", "proc"]) mkdirSync(join(folder, name));
});
beforeEach(() => {
  for (const name of SPACES) makeSpace(name);
  connect("a", A, A_INDEX);
  connect("b", B, A_INDEX + 1);
  start();
});
afterEach(() => {
  for (const name of [...SPACES, "third"]) removeSpace(name);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("pods are found by any of their addresses, and keep their identity", () => {
  const [a, b] = [pod("a", A), pod("b", B.slice(1))];
  const first = find(b, a);
  expect(first).toEqual({ taps: [tap("a", A), tap("b", B.slice(1))], problems: [] });
  expect(isStale()).toBe(false);
  const second = find(a, b);
  expect(second.taps.map((one, index) => one === first.taps[index])).toEqual([true, true]);
});

test("an address of a pod that is being deleted belongs to the other pod that has it", () => {
  const leaving = pod("a", B, { isLeaving: true });
  expect(find(leaving)).toEqual({ taps: [{ ...tap("a", B), device: "veth-b" }], problems: [] });
  start();
  expect(find(leaving, pod("b", B))).toEqual({ taps: [tap("b", B)], problems: [] });
  expect(isStale()).toBe(false);
});

test.each([
  ["of another node", pod("a", A, { nodeName: "n2" })],
  ["with the host's network", pod("a", A, { hostNetwork: true })],
  ["without addresses yet", pod("a", [])],
])("a pod %s gets no tap", (_, one) => {
  expect(find(one)).toEqual({ taps: [], problems: [] });
  expect(isStale()).toBe(false);
});

test("an address in two namespaces matches neither; a pod that was found before keeps its device", () => {
  expect(find(pod("a", A)).taps).toEqual([tap("a", A)]);
  ip("b", "addr", "add", A[1] ?? "", "dev", "eth0");
  expect(find(pod("a", A))).toEqual({ taps: [tap("a", A)], problems: [] });
  start();
  expect(find(pod("a", A))).toEqual({ taps: [], problems: [refused("a", /2 devices lead to its addresses/)] });
  ip("b", "addr", "del", A[1] ?? "", "dev", "eth0");
  clock += 1000;
  expect(find(pod("a", A))).toEqual({ taps: [tap("a", A)], problems: [] });
});

test("a device belongs to one pod: a second one with its address is refused", () => {
  const { taps, problems } = find(pod("a", A), pod("thief", A.slice(0, 1)));
  expect(taps).toEqual([tap("a", A)]);
  expect(problems).toEqual([refused("thief", /the device of its addresses is ns\/a's/)]);
});

test("a removed, created or renamed device is looked for again", () => {
  const gone = [refused("a", /no network namespace of this machine has its addresses/)];
  find(pod("a", A));
  ip("node", "link", "del", "veth-a");
  expect(isStale()).toBe(true);
  expect(find(pod("a", A))).toEqual({ taps: [], problems: gone });
  connect("a", A, A_INDEX);
  expect(isStale()).toBe(true);
  expect(find(pod("a", A))).toEqual({ taps: [tap("a", A)], problems: [] });
  ip("node", "link", "set", "veth-a", "name", "renamed");
  expect(isStale()).toBe(true);
  expect(find(pod("a", A)).taps).toEqual([{ ...tap("a", A), device: "renamed" }]);
  expect(isStale()).toBe(false);
});

test("a pod that is not found is looked for with back-off, and at once when a device is created or another pod is missing", () => {
  const late = pod("late", ["10.87.0.9"]);
  for (const wait of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    expect(find(late).problems).toHaveLength(1);
    clock += wait - 1;
    expect(isStale()).toBe(false);
    clock += 1;
    expect(isStale()).toBe(true);
  }
  expect(find(late).problems).toHaveLength(1);
  expect(find(late, pod("a", A)).taps).toEqual([tap("a", A)]);
  clock += 1000;
  expect(isStale()).toBe(true);
  find(late, pod("a", A));
  expect(isStale()).toBe(false);
  ip("node", "link", "add", "new", "type", "bridge");
  expect(isStale()).toBe(true);
  find(late, pod("a", A));
  assign("b", "eth0", "10.87.0.9"); // as other networks do: the device first, then its addresses
  clock += 1000;
  expect(find(late, pod("a", A))).toEqual({
    taps: [tap("a", A), { ...tap("b", ["10.87.0.9"]), name: "late" }],
    problems: [],
  });
});

test("a removed pod, or one with other addresses, loses its device", () => {
  find(pod("a", A), pod("b", B));
  expect(find(pod("b", B))).toEqual({ taps: [tap("b", B)], problems: [] });
  expect(find(pod("b", ["10.87.0.9"])).taps).toEqual([]);
});

test("addresses that are not behind a veth of the node are not found", () => {
  makeSpace("third");
  ip("third", "link", "add", "eth0", "type", "bridge");
  assign("third", "eth0", "10.87.0.4");
  expect(find(pod("third", ["10.87.0.4"])).taps).toEqual([]);
});

test("a pod cannot claim another's device by choosing its interface indexes", () => {
  makeSpace("third");
  // both ends have the ifindexes of veth-a's, one of them in a namespace that the pod created
  const peer = ["peer", "name", "far", "index", `${A_INDEX * 10}`, "netns", id("b")];
  ip("third", "link", "add", "near", "index", `${A_INDEX}`, "type", "veth", ...peer);
  assign("third", "near", "10.87.0.4");
  expect(find(pod("evil", ["10.87.0.4"]))).toEqual({
    taps: [],
    problems: [refused("evil", /no network namespace of this machine/)],
  });
  expect(find(pod("a", A)).taps).toEqual([tap("a", A)]);
});

test("a namespace without a name is found through a process in it", () => {
  const link = join(places.proc, "1234", "ns");
  mkdirSync(link, { recursive: true });
  symlinkSync(namespacePath(id("a")), join(link, "net"));
  rmSync(join(folder, "netns", "a"));
  expect(find(pod("a", A)).taps).toEqual([tap("a", A)]);
  rmSync(join(places.proc, "1234"), { recursive: true });
});
