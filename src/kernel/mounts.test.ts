import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { deviceOf, outlivesUs, parseMounts } from "./mounts.ts";

const FIRST = parseMounts(
  [
    "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw",
    "35 22 0:31 / /sys/fs/bpf rw shared:11 master:2 - bpf bpf rw,mode=700",
    "90 28 0:4 mnt:[4026532000] /run/mine rw - nsfs nsfs rw",
    "91 28 0:52 /weir /run/a\\040b rw - bpf bpf rw",
    "",
    "cut short",
  ].join("\n"),
);
const OWN = "mnt:[4026532111]";
const STARTER = parseMounts("777 1 0:9 / / rw - ext4 a rw\n92 777 0:66 / /run/bpf rw - bpf bpf rw");

test("mounts are parsed with any optional fields", () => {
  expect(FIRST.map(({ device, path, type }) => [device, path, type])).toEqual([
    ["0:20", "/sys", "sysfs"],
    ["0:31", "/sys/fs/bpf", "bpf"],
    ["0:4", "/run/mine", "nsfs"],
    ["0:52", "/run/a b", "bpf"],
  ]);
});

test.each([
  ["the machine's own, in a namespace of our own", "0:31", {}, true],
  ["a part of the machine's own", "0:52", {}, true],
  ["one that we alone have", "0:77", {}, false],
  ["one that we alone have, in a namespace that a file holds", "0:77", { namespace: "mnt:[4026532000]" }, true],
  ["one that is mounted in the namespace of process 1", "0:77", { root: "22" }, true],
  ["one that is mounted in the namespace of the process that started us", "0:77", { parent: STARTER }, true],
  ["one that the process which started us has", "0:66", { parent: STARTER, root: "778" }, true],
  ["one, where process 1 hides its mounts", "0:77", { first: undefined }, true],
])("a file system: %s", (_name, device, change, lasts) => {
  expect(outlivesUs(device, { first: FIRST, namespace: OWN, root: "777", parent: [], ...change })).toBe(lasts);
});

test("deviceOf returns the device in mountinfo", () => {
  const own = parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  const proc = own.findLast(({ path, type }) => path === "/proc" && type === "proc");
  expect(proc).toBeDefined();
  expect(deviceOf("/proc")).toBe(proc?.device);
});
