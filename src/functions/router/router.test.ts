import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ClusterState } from "../../model/cluster.ts";
import type { Row, RowFields } from "../../model/desired.ts";
import { ipBytes } from "../../model/ip.ts";
import { GATEWAY_MAC, HOST_MAC, tunnelName } from "./names.ts";
import { router } from "./router.ts";
import { PORT, TARGET } from "./rows.ts";
import { cluster, endpoint, node } from "./testing/fixture.ts";

function hex(value: unknown): string {
  return Buffer.from(value as Uint8Array).toString("hex");
}
const of = (state: ClusterState) => router.desired(state);
const rows = (state: ClusterState, table: string): readonly Row[] =>
  (of(state).rows ?? []).filter((row) => row.table === table);
const toPort = (value: RowFields): string => {
  const port = value["port"];
  return typeof port === "object" ? (port as { port: string }).port : String(port);
};
const host = (state: ClusterState, address: string): RowFields | undefined =>
  rows(state, "weir_rt_hosts").find((row) => hex(row.key["addr"]) === hex(ipBytes(address)))?.value;
const route = (state: ClusterState, cidr: string): RowFields | undefined => {
  const [address = "", length] = cidr.split("/");
  const wanted = `${64 + Number(length)} ${hex(ipBytes(address))} ${address.includes(":") ? 6 : 4}`;
  return rows(state, "weir_rt_routes").find(
    ({ key }) => `${key["prefixlen"]} ${hex(key["addr"])} ${key["family"]}` === wanted,
  )?.value;
};
const flagsOf = (state: ClusterState, port: string) =>
  rows(state, "weir_rt_ports").find((row) => row.key["port"] === `router:${port}`)?.value["flags"];

const NODE2 = { tunnel: "node-2" };

describe("vxlan", () => {
  const state = cluster();
  const { device: a } = endpoint("a", 10);
  const { device: b } = endpoint("b", 11);

  test("one instance, and a port for each pod, the host and the overlay", () => {
    const { instances, ports } = of(state);
    expect(instances).toEqual([{ name: "router", function: "router" }]);
    expect(ports?.map(({ name, peer, entry }) => [name, peer, entry])).toEqual([
      ["host", { kind: "device", device: "weir_host", delivery: "receive" }, "weir_panel"],
      ["overlay", { kind: "tunnel", device: "weir_vxlan" }, "weir_vxlan"],
      [a, { kind: "device", device: a, delivery: "peer" }, a],
      [b, { kind: "device", device: b, delivery: "peer" }, b],
    ]);
  });

  test("links: pods with the gateways, the host's pair with routes to all pods, the tunnel device", () => {
    const { links = [], routes } = of(state);
    expect(links.map((link) => [link.kind, link.device])).toEqual([
      ["pod", a],
      ["pod", b],
      ["pair", "weir_host"],
      ["vxlan", "weir_vxlan"],
    ]);
    expect(links[0]).toMatchObject({
      gateways: ["10.244.1.1", "fd00:10:244:1::1"],
      gatewayMac: GATEWAY_MAC,
      mtu: 1450,
    });
    expect(links[2]).toMatchObject({
      other: "weir_panel",
      mac: HOST_MAC,
      addresses: [],
      routes: [
        { cidr: "10.244.1.0/24", source: "192.168.0.1" },
        { cidr: "fd00:10:244:1::/64", source: "fd00:192::1" },
        { cidr: "10.244.2.0/24", source: "192.168.0.1" },
        { cidr: "fd00:10:244:2::/64", source: "fd00:192::1" },
      ],
    });
    expect(routes).toEqual([]);
  });

  test.each([
    ["10.244.1.10", `router:${a}`, 0],
    ["fd00:10:244:1::b", `router:${b}`, 0],
    ["192.168.0.1", "router:host", 0],
    ["fd00:192::1", "router:host", 0],
    ["10.244.1.1", "0", TARGET.local],
    ["fd00:10:244:1::1", "0", TARGET.local],
    ["fe80::1", "0", TARGET.local],
  ])("host %s: %s, flags %i", (address, port, flags) => {
    const value = host(state, address);
    expect(value && [toPort(value), value["flags"]]).toEqual([port, flags]);
  });

  test.each([
    ["10.244.1.0/24", "0", 0, TARGET.unreachable],
    ["fd00:10:244:1::/64", "0", 0, TARGET.unreachable],
    ["10.244.2.0/24", "router:overlay", NODE2, 0],
    ["fd00:10:244:2::/64", "router:overlay", NODE2, 0],
    ["192.168.0.2/32", "router:overlay", NODE2, TARGET.node],
    ["fd00:192::2/128", "router:overlay", NODE2, TARGET.node],
    ["127.0.0.0/8", "0", 0, TARGET.blackhole],
    ["::1/128", "0", 0, TARGET.blackhole],
    ["0.0.0.0/0", "router:host", 0, 0],
    ["::/0", "router:host", 0, 0],
  ])("route %s: %s, tunnel %s, flags %i", (cidr, port, tunnel, flags) => {
    const value = route(state, cidr);
    expect(value && [toPort(value), value["tunnel"], value["flags"]]).toEqual([port, tunnel, flags]);
  });

  test("a tunnel to each other node", () => {
    expect(rows(state, "weir_tunnels")).toEqual([
      {
        table: "weir_tunnels",
        key: NODE2,
        value: { family: 4, vni: 1, remote: ipBytes("192.168.0.2") },
      },
    ]);
  });

  test("the tunnel's UDP port is closed to pods alone", () => {
    const closed = (of: ClusterState) =>
      rows(of, "weir_rt_ports").flatMap(({ key, value }) => (value["tunnel_port"] ? [key["port"]] : []));
    expect(closed(state)).toEqual([`router:${a}`, `router:${b}`]);
    expect(rows(cluster({ vxlan: { port: 8472, vni: 1 } }), "weir_rt_ports").at(-1)?.value["tunnel_port"]).toBe(8472);
    expect(closed(cluster({ overlay: "direct" }))).toEqual([]);
  });

  test("ports' flags", () => {
    expect([a, "host", "overlay", "uplink"].map((port) => flagsOf(state, port))).toEqual([
      PORT.strict | PORT.fragment,
      PORT.host | PORT.proxy,
      PORT.overlay | PORT.fragment,
      undefined,
    ]);
  });
});

describe("direct", () => {
  const state = cluster({ overlay: "direct" });

  test("an uplink instead of tunnels, and kernel routes to other nodes' pods", () => {
    const { ports = [], routes, links = [] } = of(state);
    expect(ports.map(({ name }) => name).filter((name) => !name.startsWith("weir"))).toEqual(["host", "uplink"]);
    expect(ports.find(({ name }) => name === "uplink")).toMatchObject({
      peer: { kind: "device", device: "eth0", delivery: "neigh" },
      entry: "eth0",
    });
    expect(routes).toEqual([
      { cidr: "10.244.2.0/24", via: "192.168.0.2", device: "eth0" },
      { cidr: "fd00:10:244:2::/64", via: "fd00:192::2", device: "eth0" },
    ]);
    expect(links.map(({ kind }) => kind)).not.toContain("vxlan");
    expect(links.find(({ kind }) => kind === "pair")).toMatchObject({
      routes: [{ cidr: "10.244.1.0/24" }, { cidr: "fd00:10:244:1::/64" }],
    });
  });

  test("remote pods and nodes are behind the uplink", () => {
    for (const cidr of ["10.244.2.0/24", "fd00:10:244:2::/64", "192.168.0.2/32"]) {
      expect(toPort(route(state, cidr) ?? {})).toBe("router:uplink");
    }
    expect(flagsOf(state, "uplink")).toBe(PORT.uplink | PORT.fragment);
  });
});

describe("odd clusters", () => {
  test("a node of another family only has no tunnel; its pods are unreachable", () => {
    const state = cluster(
      { addresses: ["192.168.0.1"] },
      { nodes: [node(1), node(2, { addresses: ["fd00:192::2"] })] },
    );
    expect(rows(state, "weir_tunnels")).toEqual([]);
    expect(route(state, "10.244.2.0/24")).toMatchObject({ port: 0, flags: TARGET.unreachable });
  });

  test("direct: no route of a family in which the node has no address", () => {
    const state = cluster({ overlay: "direct" }, { nodes: [node(1), node(2, { addresses: ["192.168.0.2"] })] });
    expect(of(state).routes?.map(({ cidr }) => cidr)).toEqual(["10.244.2.0/24"]);
    expect(route(state, "fd00:10:244:2::/64")).toMatchObject({ flags: TARGET.unreachable });
  });

  test("nobody takes the gateway's, the node's or another pod's address", () => {
    const thief = { ...endpoint("thief", 200), ips: ["10.244.1.1", "192.168.0.1", "10.244.1.10"] };
    const state = cluster({}, { endpoints: [endpoint("a", 10), thief] });
    expect(host(state, "10.244.1.1")).toMatchObject({ flags: TARGET.local });
    expect(toPort(host(state, "192.168.0.1") ?? {})).toBe("router:host");
    expect(toPort(host(state, "10.244.1.10") ?? {})).toBe(`router:${endpoint("a", 10).device}`);
    // nor may a pod send as another without being looked up
    const usual = ({ device }: { device: string }) =>
      rows(state, "weir_rt_ports").find((row) => row.key["port"] === `router:${device}`)?.value["source4"];
    expect([usual(endpoint("a", 10)), usual(thief)].map(hex)).toEqual(["0af4010a", "00000000"]);
  });

  test("another node's claim on our pods' CIDR loses", () => {
    const state = cluster({}, { nodes: [node(1), node(2, { podCIDRs: ["10.244.1.0/24"] })] });
    expect(route(state, "10.244.1.0/24")).toMatchObject({ flags: TARGET.unreachable });
  });

  test("another node's claim on everything takes no default along", () => {
    const state = cluster({}, { nodes: [node(1), node(2, { podCIDRs: ["0.0.0.0/0", "::/0"] })] });
    for (const cidr of ["0.0.0.0/0", "::/0"]) expect(toPort(route(state, cidr) ?? {})).toBe("router:host");
  });

  test("what is no address or CIDR of a node is left out; host bits are cleared", () => {
    const bad = node(2, { addresses: ["x", "192.168.0.2", "fe80::1%eth0"], podCIDRs: ["nonsense", "10.244.2.9/24"] });
    const state = cluster({}, { nodes: [bad] });
    expect(route(state, "10.244.2.0/24")).toMatchObject({ tunnel: NODE2 });
    expect(rows(state, "weir_rt_routes")).toHaveLength(4 + 2 + 2 + 2);
  });

  test("no pods, no other nodes", () => {
    const { ports } = of(cluster({}, { nodes: [], endpoints: [] }));
    expect(ports?.map(({ name }) => name)).toEqual(["host", "overlay"]);
  });

  test.each([
    ["node-2", /^node-2$/],
    ["n".repeat(48), /^n{48}$/],
    ["n".repeat(49), /^n{35}-[0-9a-f]{12}$/],
    [`${"n".repeat(35)}-0123456789ab`, /^n{35}-(?!0123456789ab)[0-9a-f]{12}$/],
  ])("node %s has tunnel %s", (name, tunnel) => {
    expect(tunnelName(name)).toMatch(tunnel);
  });

  test("every name gives a tunnel's name that fits, and no two the same", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 253 }), { maxLength: 20 }), (names) => {
        const tunnels = names.map(tunnelName);
        expect(new Set(tunnels).size).toBe(names.length);
        for (const tunnel of tunnels) expect(Buffer.byteLength(`tunnel:${tunnel}`)).toBeLessThan(56);
      }),
    );
  });

  test("rows have unique keys and do not depend on the order of objects", () => {
    const nodes = [1, 2, 3, 4].map((n) => node(n));
    const endpoints = [5, 6, 7, 8].map((n) => endpoint(`p${n}`, n));
    const one = of(cluster({}, { nodes, endpoints }));
    const other = of(cluster({}, { nodes: nodes.toReversed(), endpoints: endpoints.toReversed() }));
    const keys = one.rows?.map((row) => JSON.stringify([row.table, row.key]));
    expect(new Set(keys).size).toBe(keys?.length);
    expect(other.rows).toEqual(one.rows);
    expect(other.ports).toEqual(one.ports);
    expect(other.links).toEqual(one.links);
  });
});
