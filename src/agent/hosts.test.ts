import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { NodeContext } from "../model/node-context.ts";
import type { Pod } from "../model/objects.ts";
import { HostFinder } from "./hosts.ts";

const NODE: NodeContext = {
  name: "n1",
  overlay: "direct",
  addresses: ["192.0.2.1"],
  podCIDRs: [],
  uplink: "eth0",
  uplinkMtu: 1500,
  mtu: 1450,
  vxlan: { port: 4789, vni: 1 },
};
/** No runtime assigns such uids, so this machine's kubelet has no cgroup for them. */
const UID = "weir-test-11111111";

let folder: string;
let finder: HostFinder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-hosts-"));
  finder = new HostFinder({ folder });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pod = (name: string, more: Partial<Pod> = {}, uid: string | undefined = `${UID}-${name}`): Pod => ({
  kind: "Pod",
  metadata: { namespace: "default", name, labels: {}, annotations: {}, uid, resourceVersion: "1" },
  nodeName: "n1",
  hostNetwork: true,
  containers: [],
  restartPolicy: "Always",
  nodeSelector: {},
  volumes: [],
  ...more,
});
interface View {
  node: NodeContext;
  pods: readonly Pod[];
  /** Keys of pods with rules. */
  ruled: ReadonlySet<string>;
}
const view = (pods: readonly Pod[], uplink: string = NODE.uplink): View => ({
  node: { ...NODE, uplink },
  pods,
  ruled: new Set(pods.map(({ metadata }) => `default/${metadata.name}`)),
});
const find = (by: HostFinder, { node, pods, ruled }: View) => by.find(node, pods, (key) => ruled.has(key));
const makeCgroup = (name: string): void => mkdirSync(join(folder, `pod${UID}-${name}`));
const told = (state: View): string[] => find(finder, state).problems.map(({ message }) => message);

test("host-network pods with rules and a cgroup are found, and keep their identity", () => {
  makeCgroup("a");
  const state = view([pod("a"), pod("b", { hostNetwork: false }), pod("c", { nodeName: "n2" })]);
  const { hosts, problems } = find(finder, state);
  expect(problems).toEqual([]);
  expect(hosts).toMatchObject([{ namespace: "default", name: "a", device: "eth0", mtu: 1500, ips: ["192.0.2.1"] }]);
  expect(hosts[0]?.id).toMatch(/^host[0-9a-f]{11}$/);
  expect(find(finder, state).hosts[0]).toBe(hosts[0]);
  expect(finder.isStale).toBe(false);
});

test("pods without rules are not looked for", () => {
  makeCgroup("a");
  expect(find(finder, { ...view([pod("a")]), ruled: new Set<string>() })).toEqual({ hosts: [], problems: [] });
  expect(finder.isStale).toBe(false);
});

test("a pod whose last rule is removed keeps its port while packets of it may be queued", () => {
  let now = 0;
  const timed = new HostFinder({ folder, now: () => now });
  makeCgroup("a");
  const ruled = view([pod("a")]);
  const free = { ...ruled, ruled: new Set<string>() };
  const [host] = find(timed, ruled).hosts;
  expect(find(timed, free).hosts).toEqual([host]);
  now = 59_999;
  expect([timed.isStale, find(timed, free).hosts]).toEqual([false, [host]]);
  now = 60_000;
  expect([timed.isStale, find(timed, free).hosts, timed.isStale]).toEqual([true, [], false]);
  find(timed, ruled);
  find(timed, free);
  now = 100_000;
  find(timed, ruled);
  find(timed, free);
  now = 159_999; // counted from the end of the last rule
  expect(find(timed, free).hosts).toHaveLength(1);
  expect([find(timed, { ...free, pods: [] }).hosts, timed.isStale]).toEqual([[], false]);
  rmdirSync(join(folder, `pod${UID}-a`));
});

test("a created or removed cgroup makes the result stale", () => {
  const state = view([pod("a")]);
  expect(told(state)).toEqual([
    `its rules are not enforced: the pod uses its node's network, and no cgroup in the v2 hierarchy is that of a pod with uid ${UID}-a`,
  ]);
  expect(finder.isStale).toBe(false);
  makeCgroup("a");
  expect(finder.isStale).toBe(true);
  expect(told(state)).toEqual([]);
  rmdirSync(join(folder, `pod${UID}-a`));
  expect(finder.isStale).toBe(true);
  expect(find(finder, state).hosts).toEqual([]);
});

test.each([
  ["no uid", () => view([pod("a", { metadata: { ...pod("a").metadata, uid: undefined } })]), /no uid/],
  ["a uid that leads elsewhere", () => view([pod("a", {}, "../../a")]), /no valid uid/],
  ["no uplink", () => view([pod("a")], ""), /no device of the node's is known as its uplink/],
  ["one uid for two pods", () => view([pod("a"), pod("b", {}, `${UID}-a`)]), /another pod has its uid/],
])("%s: no cgroup is used, and the problem has the reason", (_what, state, reason) => {
  makeCgroup("a");
  const { hosts, problems } = find(finder, state());
  expect(hosts).toEqual([]);
  for (const { message, path, severity } of problems) {
    expect([path, severity]).toEqual(["spec.hostNetwork", "warning"]);
    expect(message).toMatch(reason);
  }
  expect(problems).toHaveLength(state().pods.length);
});
