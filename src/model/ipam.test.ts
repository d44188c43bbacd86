import { describe, expect, test } from "vitest";
import { AddressPool, podDevice } from "./ipam.ts";

describe("AddressPool", () => {
  test("allocates the same index in both families, after the gateway", () => {
    const pool = new AddressPool(["10.244.1.0/24", "fd00:10:244:1::/64"]);
    expect(pool.allocate()).toEqual(["10.244.1.2", "fd00:10:244:1::2"]);
    expect(pool.allocate()).toEqual(["10.244.1.3", "fd00:10:244:1::3"]);
  });

  test("a released address is reused after all others", () => {
    const pool = new AddressPool(["10.0.0.0/29"]);
    const first = pool.allocate();
    pool.release(first);
    const later = [1, 2, 3, 4].map(() => pool.allocate()[0]);
    expect(later).toEqual(["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    expect(pool.allocate()).toEqual(first);
  });

  test("of released addresses the longest free is reused first", () => {
    const pool = new AddressPool(["10.0.0.0/29"]);
    const [a = [], b = [], c = [], d = [], e = []] = [1, 2, 3, 4, 5].map(() => pool.allocate());
    for (const ips of [d, b, e, a, c]) pool.release(ips);
    expect([1, 2, 3, 4, 5].map(() => pool.allocate())).toEqual([d, b, e, a, c]);
  });

  test("addresses released before a restart are reused last after it too", () => {
    const cidrs = ["10.0.0.0/29", "fd00::/64"];
    const before = new AddressPool(cidrs);
    const all = [1, 2, 3, 4, 5].map(() => before.allocate());
    for (const at of [4, 1, 3]) before.release(all[at] ?? []);
    const after = new AddressPool(cidrs);
    for (const at of [0, 2]) after.take(all[at] ?? []);
    after.keepBack(before.released);
    expect([1, 2, 3].map(() => after.allocate())).toEqual([all[4], all[1], all[3]]);
  });

  test("an invalid list of released addresses never frees a used address or the gateway", () => {
    const pool = new AddressPool(["10.0.0.0/29"]);
    pool.take(["10.0.0.2"]);
    pool.keepBack(["10.0.0.0", "10.0.0.1", "10.0.0.7", "192.0.2.3", "nonsense", "10.0.0.2", "10.0.0.4", "10.0.0.4"]);
    expect([1, 2, 3, 4].map(() => pool.allocate()[0])).toEqual(["10.0.0.3", "10.0.0.5", "10.0.0.6", "10.0.0.4"]);
    expect(() => pool.allocate()).toThrow(/are taken/);
  });

  test("a large network only keeps the newest thousand released addresses back", () => {
    const pool = new AddressPool(["10.0.0.0/16"]);
    const given = Array.from({ length: 1030 }, () => pool.allocate());
    for (const ips of given) pool.release(ips);
    expect(pool.released).toHaveLength(1024);
    expect(pool.released[0]).toBe(given[6]?.[0]);
  });

  test.each([
    ["10.0.0.0/29", 5],
    ["10.0.0.0/30", 1],
    ["10.0.0.0/31", 0],
    ["fd00::/126", 2],
  ])("%s holds %i pods: no network, gateway or broadcast address", (cidr, count) => {
    const pool = new AddressPool([cidr]);
    const seen = new Set(Array.from({ length: count }, () => pool.allocate()[0]));
    expect(seen.size).toBe(count);
    expect(() => pool.allocate()).toThrow(/are taken/);
  });

  test("addresses in use at the start are not allocated", () => {
    const pool = new AddressPool(["10.0.0.0/29"]);
    pool.take(["10.0.0.2", "192.0.2.1"]);
    expect(pool.allocate()).toEqual(["10.0.0.3"]);
  });

  test("refuses an invalid network", () => {
    expect(() => new AddressPool(["10.0.0.1/24"])).toThrow(/beyond its prefix/);
  });
});

test("devices of pods differ by uid and namespace, and fit the kernel's 15 characters", () => {
  const pod = { namespace: "a", name: "b", uid: "1", netns: "/run/netns/1", ifname: "eth0" };
  const one = podDevice(pod);
  expect(one.device).toMatch(/^weir[0-9a-f]{11}$/);
  expect(one.mac).toMatch(/^02(:[0-9a-f]{2}){5}$/);
  expect(podDevice({ ...pod })).toEqual(one);
  for (const change of [{ uid: "2" }, { netns: "/run/netns/2" }, { ifname: "eth1" }]) {
    expect(podDevice({ ...pod, ...change }).device).not.toBe(one.device);
  }
});
