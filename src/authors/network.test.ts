import { describe, expect, test } from "vitest";

import { GATEWAY_MAC, HOST_MAC } from "../functions/router/names.ts";
import { PORT, TARGET } from "../functions/router/rows.ts";
import { cluster, endpoint, node } from "../functions/router/testing/fixture.ts";
import { TestDocument, type Wanted } from "../functions/testing/document.ts";
import type { Document, Row, RowFields } from "../model/document.ts";
import { ipBytes } from "../model/ip.ts";
import { documentOf, plannerOf } from "./testing/plan.ts";

function hex(value: unknown): string {
  return Buffer.from(value as Uint8Array).toString("hex");
}
const planOf = ({ node, nodes = [], endpoints = [] }: Wanted) => plannerOf({ node, objects: nodes, endpoints });
const of = (state: Wanted): Document => documentOf(planOf(state));
/** Plans without judging claims of nodes first: fragments must be correct whatever a Node object contains. */
function unjudged(state: Wanted): Document {
  const document = new TestDocument();
  document.follow(state);
  return document.composer.whole();
}
const rows = (document: Document, table: string): readonly Row[] => document.rows.filter((row) => row.table === table);
const toPort = (value: RowFields): string => {
  const port = value["port"];
  return typeof port === "object" ? (port as { port: string }).port : String(port);
};
const host = (document: Document, address: string): RowFields | undefined =>
  rows(document, "weir_rt_hosts").find((row) => hex(row.key["addr"]) === hex(ipBytes(address)))?.value;
const route = (document: Document, cidr: string): RowFields | undefined => {
  const [address = "", length] = cidr.split("/");
  const wanted = `${64 + Number(length)} ${hex(ipBytes(address))} ${address.includes(":") ? 6 : 4}`;
  return rows(document, "weir_rt_routes").find(
    ({ key }) => `${key["prefixlen"]} ${hex(key["addr"])} ${key["family"]}` === wanted,
  )?.value;
};
const flagsOf = (document: Document, port: string) =>
  rows(document, "weir_rt_ports").find((row) => row.key["port"] === `router:${port}`)?.value["flags"];

const NODE2 = { tunnel: "node-2" };

describe("vxlan", () => {
  const document = of(cluster());
  const { device: a } = endpoint("a", 10);
  const { device: b } = endpoint("b", 11);

  test("one instance, and a port for each pod, the host and the overlay", () => {
    const { instances, ports } = document;
    expect(instances).toEqual([{ name: "router", function: "router" }]);
    expect(ports.map(({ name, peer, entry }) => [name, peer, entry])).toEqual([
      ["host", { kind: "device", device: "weir_host", delivery: "receive" }, "weir_panel"],
      ["overlay", { kind: "tunnel", device: "weir_vxlan" }, "weir_vxlan"],
      [a, { kind: "device", device: a, delivery: "peer" }, a],
      [b, { kind: "device", device: b, delivery: "peer" }, b],
    ]);
  });

  test("links of pods with gateways, of the host pair and the tunnel device; kernel routes to all pods", () => {
    const { links, routes } = document;
    expect(
      links.filter((link) => link.kind !== "pair" || !link.resume).map(({ kind, device }) => [kind, device]),
    ).toEqual([
      ["pod", a],
      ["pod", b],
      ["pair", "weir_host"],
      ["vxlan", "weir_vxlan"],
    ]);
    expect(links.find(({ device }) => device === a)).toMatchObject({
      gateways: ["10.244.1.1", "fd00:10:244:1::1"],
      gatewayMac: GATEWAY_MAC,
      mtu: 1450,
    });
    expect(links.find(({ device }) => device === "weir_host")).toMatchObject({
      other: "weir_panel",
      mac: HOST_MAC,
      ipv6: true,
    });
    expect(routes).toEqual([
      { cidr: "10.244.1.0/24", device: "weir_host", source: "192.168.0.1" },
      { cidr: "10.244.2.0/24", device: "weir_host", source: "192.168.0.1" },
      { cidr: "fd00:10:244:1::/64", device: "weir_host", source: "fd00:192::1" },
      { cidr: "fd00:10:244:2::/64", device: "weir_host", source: "fd00:192::1" },
    ]);
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
    const value = host(document, address);
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
    const value = route(document, cidr);
    expect(value && [toPort(value), value["tunnel"], value["flags"]]).toEqual([port, tunnel, flags]);
  });

  test("each other node has a tunnel", () => {
    expect(rows(document, "weir_tunnels")).toEqual([
      {
        table: "weir_tunnels",
        key: NODE2,
        value: { family: 4, vni: 1, remote: ipBytes("192.168.0.2") },
      },
    ]);
  });

  test("only pods' ports drop packets to the tunnel's UDP port", () => {
    const closed = (of: Document) =>
      rows(of, "weir_rt_ports").flatMap(({ key, value }) => (value["tunnel_port"] ? [key["port"]] : []));
    expect(closed(document)).toEqual([`router:${a}`, `router:${b}`]);
    expect(rows(of(cluster({ vxlan: { port: 8472, vni: 1 } })), "weir_rt_ports").at(-1)?.value["tunnel_port"]).toBe(
      8472,
    );
    expect(closed(of(cluster({ overlay: "direct" })))).toEqual([]);
  });

  test("each port has its flags", () => {
    expect([a, "host", "overlay", "uplink"].map((port) => flagsOf(document, port))).toEqual([
      PORT.strict | PORT.fragment,
      PORT.host | PORT.proxy,
      PORT.overlay | PORT.fragment,
      undefined,
    ]);
  });
});

describe("direct", () => {
  const document = of(cluster({ overlay: "direct" }));

  test("there is an uplink instead of tunnels, and kernel routes to other nodes' pods", () => {
    const { ports, routes, links } = document;
    expect(ports.map(({ name }) => name).filter((name) => !name.startsWith("weir"))).toEqual(["host", "uplink"]);
    expect(ports.find(({ name }) => name === "uplink")).toMatchObject({
      peer: { kind: "device", device: "eth0", delivery: "neigh" },
      entry: "eth0",
    });
    expect(routes).toEqual([
      { cidr: "10.244.1.0/24", device: "weir_host", source: "192.168.0.1" },
      { cidr: "10.244.2.0/24", via: "192.168.0.2", device: "eth0" },
      { cidr: "fd00:10:244:1::/64", device: "weir_host", source: "fd00:192::1" },
      { cidr: "fd00:10:244:2::/64", via: "fd00:192::2", device: "eth0" },
    ]);
    expect(links.map(({ kind }) => kind)).not.toContain("vxlan");
  });

  test("remote pods and nodes are routed to the uplink", () => {
    for (const cidr of ["10.244.2.0/24", "fd00:10:244:2::/64", "192.168.0.2/32"]) {
      expect(toPort(route(document, cidr) ?? {})).toBe("router:uplink");
    }
    expect(flagsOf(document, "uplink")).toBe(PORT.uplink | PORT.fragment);
  });
});

describe("odd clusters", () => {
  test("a node that shares no address family has no tunnel; its pods are unreachable", () => {
    const document = of(
      cluster({ addresses: ["192.168.0.1"] }, { nodes: [node(1), node(2, { addresses: ["fd00:192::2"] })] }),
    );
    expect(rows(document, "weir_tunnels")).toEqual([]);
    expect(route(document, "10.244.2.0/24")).toMatchObject({ port: 0, flags: TARGET.unreachable });
  });

  test("direct: there is no route of a family in which the node has no address", () => {
    const document = of(cluster({ overlay: "direct" }, { nodes: [node(1), node(2, { addresses: ["192.168.0.2"] })] }));
    expect(document.routes.flatMap(({ cidr, via }) => (via === undefined ? [] : [cidr]))).toEqual(["10.244.2.0/24"]);
    expect(document.routes.map(({ cidr }) => cidr)).not.toContain("fd00:10:244:2::/64");
    expect(route(document, "fd00:10:244:2::/64")).toMatchObject({ flags: TARGET.unreachable });
  });

  test("a pod cannot take the address of the gateway, the node or another pod", () => {
    const thief = { ...endpoint("thief", 200), ips: ["10.244.1.1", "192.168.0.1", "10.244.1.10"] };
    const document = of(cluster({}, { endpoints: [endpoint("a", 10), thief] }));
    expect(host(document, "10.244.1.1")).toMatchObject({ flags: TARGET.local });
    expect(toPort(host(document, "192.168.0.1") ?? {})).toBe("router:host");
    expect(toPort(host(document, "10.244.1.10") ?? {})).toBe(`router:${endpoint("a", 10).device}`);
    // and its usual source addresses, which are accepted without a look-up, exclude such an address
    const usual = ({ device }: { device: string }) =>
      rows(document, "weir_rt_ports").find((row) => row.key["port"] === `router:${device}`)?.value["source4"];
    expect([usual(endpoint("a", 10)), usual(thief)].map(hex)).toEqual(["0af4010a", "00000000"]);
  });

  test("another node's claim on this node's pod CIDR is overruled", () => {
    const document = unjudged(cluster({}, { nodes: [node(1), node(2, { podCIDRs: ["10.244.1.0/24"] })] }));
    expect(route(document, "10.244.1.0/24")).toMatchObject({ flags: TARGET.unreachable });
  });

  test("another node's claim on 0.0.0.0/0 does not replace the default routes", () => {
    const document = unjudged(cluster({}, { nodes: [node(1), node(2, { podCIDRs: ["0.0.0.0/0", "::/0"] })] }));
    for (const cidr of ["0.0.0.0/0", "::/0"]) expect(toPort(route(document, cidr) ?? {})).toBe("router:host");
  });

  test("an invalid address or CIDR of a node is left out; host bits are cleared", () => {
    const bad = node(2, { addresses: ["x", "192.168.0.2", "fe80::1%eth0"], podCIDRs: ["nonsense", "10.244.2.9/24"] });
    const document = unjudged(cluster({}, { nodes: [bad] }));
    expect(route(document, "10.244.2.0/24")).toMatchObject({ tunnel: NODE2 });
    expect(rows(document, "weir_rt_routes")).toHaveLength(4 + 2 + 2 + 2);
  });

  test("a node alone, without pods", () => {
    const { ports } = of(cluster({}, { nodes: [], endpoints: [] }));
    expect(ports.map(({ name }) => name)).toEqual(["host", "overlay"]);
  });

  test("rows have unique keys and do not depend on the order of objects", () => {
    const nodes = [1, 2, 3, 4].map((n) => node(n));
    const endpoints = [5, 6, 7, 8].map((n) => endpoint(`p${n}`, n));
    const one = of(cluster({}, { nodes, endpoints }));
    const other = of(cluster({}, { nodes: nodes.toReversed(), endpoints: endpoints.toReversed() }));
    const keys = one.rows.map((row) => JSON.stringify([row.table, row.key]));
    expect(new Set(keys).size).toBe(keys.length);
    expect(other.rows).toEqual(one.rows);
    expect(other.ports).toEqual(one.ports);
    expect(other.links).toEqual(one.links);
  });
});
