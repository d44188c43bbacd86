import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openEndpoints } from "./endpoints.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-endpoints-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () => openEndpoints({ folder, podCIDRs: ["10.0.0.0/29", "fd00::/64"] });
const request = (uid: string) => ({ uid, netns: `/run/netns/${uid}`, ifname: "eth0" });

test("a pod keeps its addresses over calls and restarts", () => {
  const first = open().put("ns", "a", request("u1"));
  expect(first).toMatchObject({ ips: ["10.0.0.2", "fd00::2"], netns: "/run/netns/u1", ifname: "eth0" });
  const again = open();
  expect(again.put("ns", "a", request("u1"))).toEqual(first);
  expect(again.list()).toEqual([first]);
  expect(again.put("ns", "b", request("u2")).ips).toEqual(["10.0.0.3", "fd00::3"]);
});

test("another uid under the same name is another pod", () => {
  const store = open();
  const old = store.put("ns", "a", request("u1"));
  const next = store.put("ns", "a", request("u2"));
  expect(next.device).not.toBe(old.device);
  expect(next.ips).not.toEqual(old.ips);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([`${next.device}.json`]);
});

test("a pod whose namespace was made anew gets another device there, and keeps its addresses", () => {
  const store = open();
  const old = store.put("ns", "a", request("u1"));
  const next = store.put("ns", "a", { ...request("u1"), netns: "/run/netns/anew" });
  expect(next).toMatchObject({ ips: old.ips, netns: "/run/netns/anew" });
  expect(next.device).not.toBe(old.device);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([`${next.device}.json`]);
  expect(open().list()).toEqual([next]);
  expect(store.put("ns", "b", request("u2")).ips).not.toEqual(old.ips);
});

test("removal frees the address, and succeeds when there is nothing", () => {
  const store = open();
  store.put("ns", "a", request("u1"));
  store.remove("ns", "a");
  store.remove("ns", "a");
  expect(open().list()).toEqual([]);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([]);
});

test("a full network is an error, and nothing is lost", () => {
  const store = open();
  for (const n of [1, 2, 3, 4, 5]) store.put("ns", `p${n}`, request(`u${n}`));
  expect(() => store.put("ns", "p6", request("u6"))).toThrow("all 5 of the node's pod CIDRs are taken");
  expect(open().list()).toHaveLength(5);
});

test("a broken file is set aside and reported; the others stay", () => {
  open().put("ns", "a", request("u1"));
  writeFileSync(join(folder, "endpoints", "weir00000000000.json"), "{ not json");
  const store = open();
  expect(store.list().map((endpoint) => endpoint.name)).toEqual(["a"]);
  expect(store.problems[0]?.message).toContain("set aside as weir00000000000.json.broken");
  expect(readdirSync(join(folder, "endpoints"))).toContain("weir00000000000.json.broken");
});

test.each([
  ["mac", "zz"],
  ["device", "lo"],
  ["ips", ["999.1.1.1"]],
])("a file whose %s nobody could have written is set aside", (field, value) => {
  const { device } = open().put("ns", "a", request("u1"));
  const file = join(folder, "endpoints", `${device}.json`);
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), [field]: value }));
  const store = open();
  expect(store.list()).toEqual([]);
  expect(store.problems[0]?.message).toContain("set aside");
});

test("a folder that someone removed is made again", () => {
  const store = open();
  rmSync(folder, { recursive: true });
  store.put("ns", "a", request("u1"));
  expect(open().list()).toHaveLength(1);
});

test("of two files for one name the newer counts, and the older goes", () => {
  const old = open().put("ns", "a", request("u1"));
  const [file = ""] = readdirSync(join(folder, "endpoints"));
  const text = readFileSync(join(folder, "endpoints", file), "utf8");
  const next = open().put("ns", "a", request("u2"));
  writeFileSync(join(folder, "endpoints", file), text);
  utimesSync(join(folder, "endpoints", file), 1, 1);
  const store = open();
  expect(store.list()).toEqual([next]);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([`${next.device}.json`]);
  const given = Array.from({ length: 4 }, (_, n) => store.put("ns", `p${n}`, request(`v${n}`)).ips[0]);
  expect(given).toContain(old.ips[0]);
});
