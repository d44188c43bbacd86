import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openAttachments } from "./attachments.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-endpoints-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () => openAttachments({ folder, podCIDRs: ["10.0.0.0/29", "fd00::/64"] });
const request = (uid: string) => ({ uid, netns: `/run/netns/${uid}`, ifname: "eth0" });

test("a pod keeps its addresses across repeated calls and restarts", () => {
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

test("a pod with a new namespace gets another device and keeps its addresses", () => {
  const store = open();
  const old = store.put("ns", "a", request("u1"));
  const next = store.put("ns", "a", { ...request("u1"), netns: "/run/netns/anew" });
  expect(next).toMatchObject({ ips: old.ips, netns: "/run/netns/anew" });
  expect(next.device).not.toBe(old.device);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([`${next.device}.json`]);
  expect(open().list()).toEqual([next]);
  expect(store.put("ns", "b", request("u2")).ips).not.toEqual(old.ips);
});

test("removal frees the address, and is idempotent", () => {
  const store = open();
  store.put("ns", "a", request("u1"));
  store.remove("ns", "a");
  store.remove("ns", "a");
  expect(open().list()).toEqual([]);
  expect(readdirSync(join(folder, "endpoints"))).toEqual([]);
});

test("an address freed at the start is reused after all that were freed before", () => {
  const store = open();
  const ips = ["a", "b"].map((name) => store.put("ns", name, request(name)).ips);
  store.remove("ns", "b");
  const [file = ""] = readdirSync(join(folder, "endpoints"));
  const text = readFileSync(join(folder, "endpoints", file), "utf8");
  store.put("ns", "a", request("a2"));
  writeFileSync(join(folder, "endpoints", file), text);
  writeFileSync(join(folder, "released.json"), JSON.stringify([ips[1]?.[0]]));
  utimesSync(join(folder, "endpoints", file), 1, 1);
  const again = open();
  const given = Array.from({ length: 4 }, (_, n) => again.put("ns", `p${n}`, request(`v${n}`)).ips);
  expect(given.slice(2)).toEqual([ips[1], ips[0]]);
});

test("a freed address is reused as late after a restart as without one", () => {
  const store = open();
  const ips = ["a", "b", "c"].map((name) => store.put("ns", name, request(name)).ips);
  for (const name of ["b", "c", "a"]) store.remove("ns", name);
  const again = open();
  const given = Array.from({ length: 5 }, (_, n) => again.put("ns", `p${n}`, request(`v${n}`)).ips);
  expect(given.slice(2)).toEqual([ips[1], ips[2], ips[0]]);
});

test.each(["{ not json", '{"released": 1}', "[1, 2]"])(
  "a list of freed addresses that says %s counts as none",
  (text) => {
    open().put("ns", "a", request("u1"));
    open().remove("ns", "a");
    writeFileSync(join(folder, "released.json"), text);
    expect(open().put("ns", "b", request("u2")).ips[0]).toMatch(/^10\.0\.0\.[2-6]$/);
  },
);

describe("removal only affects the sandbox that is named", () => {
  const first = { ...request("u1"), sandbox: "s1" };
  const second = { ...request("u1"), netns: "/run/netns/anew", sandbox: "s2" };
  test.each([
    ["the sandbox before", { sandbox: "s1" }, false],
    ["the namespace before", { netns: first.netns }, false],
    ["the pod before", { uid: "u0" }, false],
    ["the sandbox before, of this pod", { uid: "u1", sandbox: "s1" }, false],
    ["this sandbox", { uid: "u1", netns: second.netns, sandbox: "s2" }, true],
    ["whichever it is", {}, true],
  ])("%s", (_name, which, gone) => {
    const store = open();
    store.put("ns", "a", first);
    const held = store.put("ns", "a", second);
    expect(store.remove("ns", "a", which)).toBe(gone);
    expect(open().list()).toEqual(gone ? [] : [held]);
  });

  test("an attachment without a sandbox id matches any sandbox", () => {
    const store = open();
    store.put("ns", "a", request("u1"));
    expect(store.remove("ns", "a", { uid: "u1", sandbox: "s1" })).toBe(true);
  });

  test("another sandbox in the same network namespace keeps device and addresses", () => {
    const store = open();
    const one = store.put("ns", "a", first);
    expect(store.put("ns", "a", { ...first, sandbox: "s2" })).toEqual({ ...one, sandbox: "s2" });
    expect(store.remove("ns", "a", { sandbox: "s1" })).toBe(false);
    expect(open().list()).toEqual([{ ...one, sandbox: "s2" }]);
  });
});

test("running out of addresses is an error and changes nothing", () => {
  const store = open();
  for (const n of [1, 2, 3, 4, 5]) store.put("ns", `p${n}`, request(`u${n}`));
  expect(() => store.put("ns", "p6", request("u6"))).toThrow("all 5 of the node's pod CIDRs are taken");
  expect(open().list()).toHaveLength(5);
});

test("a broken file is renamed and reported; others are kept", () => {
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
])("a file with an impossible %s is renamed", (field, value) => {
  const { device } = open().put("ns", "a", request("u1"));
  const file = join(folder, "endpoints", `${device}.json`);
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), [field]: value }));
  const store = open();
  expect(store.list()).toEqual([]);
  expect(store.problems[0]?.message).toContain("set aside");
});

test("a removed folder is created again", () => {
  const store = open();
  rmSync(folder, { recursive: true });
  store.put("ns", "a", request("u1"));
  expect(open().list()).toHaveLength(1);
});

test("of two files for one pod the newer counts, and the older is removed", () => {
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
