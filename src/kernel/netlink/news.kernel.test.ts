import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createNamespace, removeNamespace } from "../namespace.ts";
import { openFds, runName } from "../testdata/harness.ts";
import { type NetworkNews, watchNetwork } from "./news.ts";
import { changeTc, handle, TC_ROOT, type TcChange } from "./tc.ts";

const name = runName("news");
let netns: string;
beforeAll(() => {
  netns = createNamespace(name);
});
afterAll(() => removeNamespace(name));

const ip = (...args: string[]) => execFileSync("ip", ["-n", name, ...args]);
const textOf = (news: NetworkNews): string => {
  if (news.kind === "link") return `link ${news.device.name} ${news.gone ? "gone" : news.device.up ? "up" : "down"}`;
  return news.kind === "route" ? `route ${news.route.cidr} ${news.route.protocol}` : news.kind;
};

/** Runs `ip` commands. This thread does not read notifications meanwhile. */
const batch = (lines: readonly string[]) =>
  execFileSync("ip", ["-n", name, "-batch", "-"], { input: `${lines.join("\n")}\n` });

/** Collects notifications of the namespace in order; `until` waits for one. */
function listen(signal: AbortSignal) {
  const heard: string[] = [];
  const more = new EventTarget();
  const tell = (news: NetworkNews): void => {
    heard.push(textOf(news));
    more.dispatchEvent(new Event("news"));
  };
  watchNetwork(tell, signal, netns);
  const until = async (wanted: string): Promise<void> => {
    while (!heard.includes(wanted)) await once(more, "news");
    heard.length = 0;
  };
  return { heard, until };
}

test("an abort closes the socket at once; after an abort none is opened", async () => {
  const before = openFds();
  const stop = new AbortController();
  listen(stop.signal);
  expect(openFds()).toBe(before + 1);
  stop.abort();
  while (openFds() > before) await new Promise(setImmediate);
  listen(stop.signal);
  expect(openFds()).toBe(before);
  expect(() => watchNetwork(() => {}, new AbortController().signal, "/run/netns/weir-none")).toThrow(
    "no such namespace",
  );
});

test("changes of devices, addresses and routes by anyone are reported", async () => {
  const stop = new AbortController();
  const { until } = listen(stop.signal);
  ip("link", "add", "w0", "type", "veth", "peer", "name", "w1");
  await until("link w0 down");
  ip("link", "set", "w0", "up");
  await until("link w0 up");
  ip("addr", "add", "10.1.0.1/24", "dev", "w0");
  await until("address");
  for (const change of ["add", "del"]) {
    ip("route", change, "10.2.0.0/16", "dev", "w0", "proto", "119");
    await until("route 10.2.0.0/16 119");
    ip("-6", "route", change, "fd00:2::/64", "dev", "w0", "proto", "119");
    await until("route fd00:2::/64 119");
  }
  ip("route", "add", "10.2.0.0/16", "dev", "w0", "proto", "119");
  await until("route 10.2.0.0/16 119");
  ip("route", "replace", "10.2.0.0/16", "dev", "w0", "proto", "7");
  await until("route 10.2.0.0/16 7");
  ip("route", "del", "10.2.0.0/16", "dev", "w0", "proto", "7");
  await until("route 10.2.0.0/16 7");
  ip("addr", "del", "10.1.0.1/24", "dev", "w0");
  await until("address");
  execFileSync("tc", ["-n", name, "qdisc", "add", "dev", "w0", "root", "handle", "1:", "htb"]);
  execFileSync("tc", ["-n", name, "qdisc", "del", "dev", "w0", "root"]);
  await until("qdisc");
  ip("link", "del", "w0");
  await until("link w0 gone");
  stop.abort();
});

test("others' new routes and a bridge's ports fill no socket", async () => {
  const stop = new AbortController();
  const { heard, until } = listen(stop.signal);
  ip("link", "add", "bridge0", "type", "bridge");
  ip("link", "add", "b0", "type", "veth", "peer", "name", "b1");
  ip("link", "set", "b0", "up");
  await until("link b0 up");
  for (const table of ["main", "1000"]) {
    batch(Array.from({ length: 20_000 }, (_, n) => `route add 100.${n >> 8}.${n % 256}.0/24 dev b0 table ${table}`));
  }
  batch(["link set b0 master bridge0", "link set b0 nomaster"]); // which "removes" the bridge's port
  ip("link", "add", "done0", "type", "veth", "peer", "name", "done1");
  while (!heard.includes("link done0 down")) await new Promise(setImmediate);
  expect(heard).not.toContain("lost");
  expect(heard).not.toContain("link b0 gone");
  stop.abort();
});

test("an overrun of the socket is reported, and later changes are too", async () => {
  const stop = new AbortController();
  const { until } = listen(stop.signal);
  batch(Array.from({ length: 2500 }, () => "link set lo up\nlink set lo down"));
  await until("lost");
  ip("link", "add", "late0", "type", "veth", "peer", "name", "late1");
  await until("link late0 down");
  stop.abort();
});

test("removed classes are reported unless this process has removed them", async () => {
  const stop = new AbortController();
  const { heard, until } = listen(stop.signal);
  ip("link", "add", "shaped", "type", "veth", "peer", "name", "shaped1");
  const htb = { rate: 1_000_000n, ceil: 1_000_000n, burst: 10_000, cburst: 10_000, quantum: 1514 };
  const add = (minor: number): TcChange => ({
    ...{ op: "set", kind: "htb-class", handle: handle(1, minor), parent: handle(1), htb },
  });
  const remove = (minor: number): TcChange => ({ op: "remove", kind: "class", handle: handle(1, minor) });
  changeTc("shaped", [{ op: "set", kind: "htb", handle: handle(1), parent: TC_ROOT }, add(1), add(2)], netns);
  await until("link shaped down");
  changeTc("shaped", [remove(1)], netns);
  execFileSync("tc", ["-n", name, "class", "del", "dev", "shaped", "classid", "1:2"]);
  await until("class");
  ip("link", "add", "after", "type", "veth", "peer", "name", "after1");
  await until("link after down");
  changeTc("shaped", [add(1), add(2), remove(1), remove(2)], netns);
  ip("link", "del", "after");
  while (!heard.includes("link after gone")) await new Promise((resolve) => setImmediate(resolve));
  expect(heard).not.toContain("class");
  stop.abort();
});
