import { execFileSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KernelError } from "../errors.ts";
import { createNamespace, inNamespace, isNamespace, namespacePath, removeNamespace } from "../namespace.ts";
import { readSysctl, writeSysctl } from "../sysctl.ts";
import { openFds, runName } from "../testdata/harness.ts";
import { deviceFeatures, setOffloads } from "./ethtool.ts";
import { addAddress, addresses, removeAddress } from "./ifaddr.ts";
import { createLink, createVeth, createVxlan, findLink, ifindexOf, links, removeLink, setLink } from "./link.ts";
import { addNeighbour, addRoute, defaultRoute, neighbours, removeNeighbour, removeRoute, routes } from "./route.ts";
import { Netlink } from "./socket.ts";
import { acceptsVni, allowVni } from "./vni.ts";

const names = [runName("a"), runName("b")] as const;
let a: string;
let b: string;
beforeAll(() => {
  [a, b] = names.map((name) => createNamespace(name)) as [string, string];
});
afterAll(() => names.forEach(removeNamespace));

/** Output of iproute2, an independent reader of the kernel's state. */
function ip(netns: string, ...args: string[]): Record<string, unknown>[] {
  return JSON.parse(execFileSync("nsenter", [`--net=${netns}`, "ip", "-j", "-d", ...args], { encoding: "utf8" }));
}

function code(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("namespaces", () => {
  test("are entered and left, also after an exception", () => {
    const here = readlinkSync("/proc/thread-self/ns/net");
    const there = inNamespace(a, () => readlinkSync("/proc/thread-self/ns/net"));
    expect(there).not.toBe(here);
    expect(() => inNamespace(a, () => JSON.parse("{"))).toThrow(SyntaxError);
    expect(inNamespace(a, () => inNamespace(b, () => 5))).toBe(5);
    expect(code(() => inNamespace(a, async () => {}))).toBe("namespace-async");
    expect(code(() => inNamespace("/run/netns/weir-none", () => {}))).toBe("namespace-missing");
    expect(code(() => inNamespace("/etc/hostname", () => {}))).toBe("namespace-enter-failed");
    expect(readlinkSync("/proc/thread-self/ns/net")).toBe(here);
  });

  test("are created once and removed in any state", () => {
    const name = runName("once");
    const path = createNamespace(name);
    expect(isNamespace(path)).toBe(true);
    expect(code(() => createNamespace(name))).toBe("namespace-exists");
    removeNamespace(name);
    removeNamespace(name);
    expect(isNamespace(path)).toBe(false);
    expect(code(() => createNamespace("../x"))).toBe("namespace-name");
    expect(isNamespace(namespacePath("weir-none"))).toBe(false);
  });
});

describe("links", () => {
  test("a veth pair across namespaces, as iproute2 sees it", () => {
    createVeth(
      {
        name: "w0",
        mac: "02:00:00:00:00:01",
        mtu: 1400,
        peer: { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1450, netns: b },
      },
      a,
    );
    expect(ip(a, "link", "show", "w0")[0]).toMatchObject({
      address: "02:00:00:00:00:01",
      mtu: 1400,
      linkinfo: { info_kind: "veth" },
    });
    expect(ip(b, "link", "show", "eth0")[0]).toMatchObject({ address: "02:00:00:00:00:02", mtu: 1450 });
    setLink("w0", { up: true }, a);
    setLink("eth0", { up: true, gsoMaxSegs: 3 }, b);
    const [one, two] = [findLink("w0", a), findLink("eth0", b)];
    expect(one).toMatchObject({ kind: "veth", up: true, running: true, mtu: 1400, mac: "02:00:00:00:00:01" });
    expect(two).toMatchObject({ gsoMaxSegs: 3, peerIfindex: one?.ifindex });
    expect(one?.peerIfindex).toBe(two?.ifindex);
    expect(one?.ifindex).toBe(ifindexOf("w0", a));
    setLink("eth0", { up: false, name: "lan0" }, b);
    setLink(two?.ifindex as number, { name: "eth0", mtu: 1300, mac: "02:00:00:00:00:09", up: true }, b);
    expect(findLink("eth0", b)).toMatchObject({ mtu: 1300, mac: "02:00:00:00:00:09", up: true });
    expect(findLink("lan0", b)).toBeUndefined();
    expect(
      links(b)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["eth0", "lo"]);
  });

  test("vxlan in collect-metadata mode, ifb, moves and removals", () => {
    createVxlan({ name: "vx", port: 4790, vni: 7, mtu: 1400, mac: "02:00:00:00:00:0a" }, a);
    expect(findLink("vx", a)).toMatchObject({ udpPort: 4790, vni: 7 });
    expect(acceptsVni("vx", 7, a)).toBe(false);
    for (let time = 0; time < 2; time++) allowVni("vx", 7, a);
    expect([acceptsVni("vx", 7, a), acceptsVni("vx", 8, a)]).toEqual([true, false]);
    expect(code(() => allowVni("lo", 7, a))).toBe("netlink-refused");
    const data = { external: true, port: 4790, learning: false };
    expect(ip(a, "link", "show", "vx")[0]).toMatchObject({
      mtu: 1400,
      linkinfo: { info_kind: "vxlan", info_data: data },
    });
    expect(code(() => createVxlan({ name: "vx", port: 4790, vni: 7 }, a))).toBe("netlink-refused");
    expect(() => createVxlan({ name: "vx", port: 4790, vni: 7 }, a)).toThrow(/^create vxlan vx: EEXIST/);
    createLink({ name: "ifb7", kind: "ifb" }, a);
    setLink("ifb7", { netns: b }, a);
    expect([findLink("ifb7", a), findLink("ifb7", b)?.kind]).toEqual([undefined, "ifb"]);
    expect([removeLink("ifb7", b), removeLink("ifb7", b), removeLink("vx", a)]).toEqual([true, false, true]);
  });

  test("failing operations have their codes", () => {
    expect(code(() => setLink("none", { up: true }, a))).toBe("netlink-refused");
    expect(code(() => ifindexOf("none", a))).toBe("device-missing");
    expect(code(() => findLink("a/../b", a))).toBe("device-name");
    expect(code(() => createLink({ name: "sixteen-letters!", kind: "ifb" }, a))).toBe("device-name");
    expect(() => createLink({ name: "x0", kind: "no-such-kind" }, a)).toThrow(/EOPNOTSUPP \(Unknown device type\)/);
    expect(code(() => createVeth({ name: "x0", peer: { name: "x1", netns: "/run/netns/none" } }, a))).toBe(
      "namespace-missing",
    );
  });
});

describe("addresses, routes, neighbours", () => {
  test("addresses of both families are usable at once", () => {
    addAddress("w0", "10.1.0.1/24", {}, a);
    addAddress("w0", "10.1.0.1/24", {}, a);
    addAddress("w0", "fd00:1::1/64", {}, a);
    addAddress("eth0", "fd00:2::1/128", { noPrefixRoute: true }, b);
    const own = addresses(a, ifindexOf("w0", a)).filter(({ linkLocal }) => !linkLocal);
    expect(own.map(({ cidr, tentative }) => [cidr, tentative])).toEqual([
      ["10.1.0.1/24", false],
      ["fd00:1::1/64", false],
    ]);
    expect(JSON.stringify(ip(b, "addr", "show", "eth0"))).toContain('"noprefixroute":true');
    expect([removeAddress("w0", "fd00:1::1/64", a), removeAddress("w0", "fd00:1::1/64", a)]).toEqual([true, false]);
    expect(code(() => addAddress("w0", "10.1.0.256/24", {}, a))).toBe("address-invalid");
    expect(code(() => addAddress("w0", "10.1.0.1/33", {}, a))).toBe("address-invalid");
    expect(code(() => addAddress("w0", "fe80::1%w0/64", {}, a))).toBe("address-invalid");
  });

  test("a pod's routes: link scope to a gateway, and a default route; none replaces another", () => {
    addAddress("eth0", "10.2.0.2/32", {}, b);
    addRoute({ cidr: "169.254.1.1/32", device: "eth0" }, b);
    addRoute({ cidr: "0.0.0.0/0", device: "eth0", via: "169.254.1.1", source: "10.2.0.2", mtu: 1200 }, b);
    addRoute({ cidr: "::/0", device: "eth0", via: "fe80::1", onlink: true }, b);
    addRoute({ cidr: "10.9.0.0/16", device: "eth0", via: "172.16.0.1", onlink: true }, b);
    const shown = ip(b, "route", "show");
    expect(shown).toContainEqual(expect.objectContaining({ dst: "169.254.1.1", scope: "link", protocol: "119" }));
    expect(shown).toContainEqual(
      expect.objectContaining({
        dst: "default",
        gateway: "169.254.1.1",
        prefsrc: "10.2.0.2",
        metrics: [{ mtu: 1200 }],
      }),
    );
    expect(shown).toContainEqual(expect.objectContaining({ dst: "10.9.0.0/16", flags: ["onlink"] }));
    const listed = routes(b).map(({ cidr, via, source, protocol }) => ({ cidr, via, source, protocol }));
    expect(listed).toContainEqual({ cidr: "0.0.0.0/0", via: "169.254.1.1", source: "10.2.0.2", protocol: 119 });
    expect(listed).toContainEqual({ cidr: "::/0", via: "fe80::1", source: undefined, protocol: 119 });
    expect(removeRoute({ cidr: "10.9.0.0/16", device: "eth0" }, b)).toBe(true);
    for (const [cidr, via, other] of [
      ["10.9.0.0/16", "172.16.0.1", "172.16.0.2"],
      ["fd00:9::/64", "fe80::1", "fe80::2"],
    ] as const) {
      const ofAnother = ["route", "add", cidr, "via", via, "dev", "eth0", "onlink", "proto", "boot"];
      execFileSync("ip", ["-n", names[1], ...ofAnother]);
      expect(addRoute({ cidr, device: "eth0", via: other, onlink: true }, b)).toBe(false);
      expect(removeRoute({ cidr, device: "eth0" }, b)).toBe(false);
      expect(routes(b).filter((route) => route.cidr === cidr)).toMatchObject([{ via, protocol: 3 }]);
      expect(routes(b, 119).map((route) => route.cidr)).not.toContain(cidr);
      expect(removeRoute({ cidr, device: "eth0", protocol: 3 }, b)).toBe(true);
      expect(addRoute({ cidr, device: "eth0", via: other, onlink: true }, b)).toBe(true);
    }
    const gone = { cidr: "10.9.0.0/16", device: "eth0", via: "172.16.0.2" };
    expect([removeRoute(gone, b), removeRoute(gone, b)]).toEqual([true, false]);
    expect(() => addRoute({ cidr: "10.9.0.0/16", device: "eth0", via: "172.16.0.2" }, b)).toThrow(
      /^add route 10.9.0.0\/16 on device eth0: ENETUNREACH \(Nexthop has invalid gateway\)/,
    );
  });

  test("the default route is found, even if a more specific route matches the queried address", () => {
    const found = (): unknown => defaultRoute(a) && [defaultRoute(a)?.cidr, defaultRoute(a)?.via];
    const route = (action: string, ...words: string[]) =>
      execFileSync("ip", ["-n", names[0], "route", action, ...words], { stdio: "pipe" });
    expect(found()).toBeUndefined();
    route("add", "default", "via", "fe80::9", "dev", "w0");
    expect(found()).toEqual(["::/0", "fe80::9"]);
    route("add", "default", "via", "10.1.0.9", "metric", "200");
    expect(found()).toEqual(["0.0.0.0/0", "10.1.0.9"]);
    route("add", "default", "via", "10.1.0.8", "metric", "100");
    expect(found()).toEqual(["0.0.0.0/0", "10.1.0.8"]);
    route("add", "192.0.2.0/24", "via", "10.1.0.7");
    expect(found()).toEqual(["0.0.0.0/0", "10.1.0.8"]);
    route("add", "128.0.0.0/1", "via", "10.1.0.7");
    route("del", "192.0.2.0/24");
    expect(found()).toEqual(["0.0.0.0/0", "10.1.0.8"]);
    route("add", "unreachable", "192.0.2.0/24");
    expect(found()).toEqual(["0.0.0.0/0", "10.1.0.8"]);
    for (const cidr of ["192.0.2.0/24", "128.0.0.0/1", "default", "default"]) route("del", cidr);
    execFileSync("ip", ["-n", names[0], "-6", "route", "del", "default"]);
  });

  test("neighbour entries are permanent", () => {
    for (const address of ["169.254.1.1", "fe80::1"])
      addNeighbour({ device: "eth0", address, mac: "02:00:00:00:00:01" }, b);
    addNeighbour({ device: "eth0", address: "fe80::1", mac: "02:00:00:00:00:77" }, b);
    const ours = neighbours(b).filter(({ permanent, mac }) => permanent && mac !== undefined);
    expect(ours.map(({ address, mac }) => [address, mac]).sort()).toEqual([
      ["169.254.1.1", "02:00:00:00:00:01"],
      ["fe80::1", "02:00:00:00:00:77"],
    ]);
    expect(ip(b, "neigh", "show")).toContainEqual(
      expect.objectContaining({ dst: "169.254.1.1", state: ["PERMANENT"] }),
    );
    const one = { device: "eth0", address: "fe80::1" };
    expect([removeNeighbour(one, b), removeNeighbour(one, b)]).toEqual([true, false]);
  });
});

describe("settings", () => {
  test("sysctls are the namespace's own", () => {
    const before = readSysctl("net/ipv4/conf/all/rp_filter");
    writeSysctl("net/ipv4/conf/all/rp_filter", before === "1" ? 2 : 1, a);
    writeSysctl("net/ipv6/conf/w0/disable_ipv6", 1, a);
    expect(readSysctl("net/ipv4/conf/all/rp_filter", a)).toBe(before === "1" ? "2" : "1");
    expect(readSysctl("net/ipv4/conf/all/rp_filter")).toBe(before);
    expect(readSysctl("net/ipv6/conf/w0/disable_ipv6", a)).toBe("1");
    expect(code(() => writeSysctl("net/ipv4/conf/none/rp_filter", 1, a))).toBe("sysctl-missing");
    expect(code(() => writeSysctl("net/../kernel/hostname", "x", a))).toBe("sysctl-name");
    expect(code(() => writeSysctl("kernel/hostname", "x", a))).toBe("sysctl-name");
  });

  test("offloads are switched off and on", () => {
    const active = (pattern: RegExp) =>
      [...deviceFeatures("w0", a)].filter(([name, { active }]) => active && pattern.test(name)).map(([name]) => name);
    const segmentation = active(/^tx-.*segmentation/);
    expect(segmentation).toContain("tx-tcp-segmentation");
    setOffloads("w0", { segmentation: false, gro: false, txChecksum: false }, a);
    expect(active(/^tx-.*segmentation|^rx-gro$|^tx-checksum-ip/)).toEqual([]);
    const said = execFileSync("nsenter", [`--net=${a}`, "ethtool", "-k", "w0"], { encoding: "utf8" });
    expect(said).toMatch(/tcp-segmentation-offload: off[\s\S]*generic-segmentation-offload: off/);
    setOffloads("w0", { txChecksum: true, segmentation: true }, a);
    expect(active(/^tx-.*segmentation/)).toEqual(segmentation);
    expect(() => setOffloads("none", { gro: false }, a)).toThrow(/^count features of device none: ENODEV/);
  });
});

test("one open socket serves many operations without a leak", () => {
  const before = openFds();
  const netlink = Netlink.open(a);
  for (let i = 0; i < 300; i++) addRoute({ cidr: `10.77.${i >> 8}.${i & 255}/32`, device: "w0" }, netlink);
  expect(routes(netlink).filter(({ cidr }) => cidr.startsWith("10.77."))).toHaveLength(300);
  netlink.close();
  expect(code(() => links(netlink))).toBe("closed");
  for (let i = 0; i < 1000; i++) findLink("w0", a);
  for (let i = 0; i < 100; i++) code(() => setLink("none", { up: true, netns: b }, a));
  expect(openFds()).toBe(before);
});
