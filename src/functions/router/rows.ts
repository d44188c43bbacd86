import type { Row, RowFields } from "../../model/document.ts";
import { familyOf, ipBytes, macBytes, type Prefix } from "../../model/ip.ts";
import { fullName, GATEWAY_MAC, HOST, HOST_MAC, ROUTER } from "./names.ts";

/** `enum weir_rt_target_flags` */
export const TARGET = { local: 1, unreachable: 2, prohibited: 4, blackhole: 8, node: 16 } as const;
/** `enum weir_rt_port_flags` */
export const PORT = { strict: 1, proxy: 2, host: 4, uplink: 8, overlay: 16, fragment: 32 } as const;

/** A target that is no port: what it does is in its flags. */
export const nowhere = (flags: number): RowFields => ({ port: 0, mac: new Uint8Array(6), flags, tunnel: 0 });

/** Packets leave by this port for this MAC address; by this tunnel, if the port has tunnels. */
export const toward = (port: string, mac: string, flags = 0, tunnel?: string): RowFields => ({
  port: { port: fullName(port) },
  mac: macBytes(mac),
  flags,
  tunnel: tunnel === undefined ? 0 : { tunnel },
});

/** Where a tunnel ends. */
export const tunnelRow = (tunnel: string, vni: number, remote: string): Row => ({
  table: "weir_tunnels",
  key: { tunnel }, // stands for the id itself
  value: { family: familyOf(remote), vni, remote: ipBytes(remote) },
});

/** Row of one address. */
export function hostRow(address: string, target: RowFields): Row {
  const key = { instance: { instance: ROUTER }, family: familyOf(address), addr: ipBytes(address) };
  return { table: "weir_rt_hosts", key, value: target };
}

/** Row of a network. */
export function routeRow({ family, length, address }: Prefix, target: RowFields): Row {
  const key = { prefixlen: 64 + length, instance: { instance: ROUTER }, family, addr: ipBytes(address) };
  return { table: "weir_rt_routes", key, value: target };
}

/** What the router is at all ports of a node. */
export interface RouterPorts {
  /** Of pods' devices, bytes at layer 3. */
  mtu: number;
  gateway4?: string | undefined;
  gateway6?: string | undefined;
}

/** Row of a port. */
export function portRow({ mtu, gateway4, gateway6 }: RouterPorts, port: string, flags: number): Row {
  return {
    table: "weir_rt_ports",
    key: { port: fullName(port) }, // stands for the id itself
    value: {
      mtu,
      mac: macBytes(GATEWAY_MAC),
      fragmenter: { port: fullName(HOST.port) },
      fragmenter_mac: macBytes(HOST_MAC),
      gateway4: gateway4 ? ipBytes(gateway4).subarray(0, 4) : new Uint8Array(4),
      gateway6: gateway6 ? ipBytes(gateway6) : new Uint8Array(16),
      tunnel_port: 0,
      flags,
    },
  };
}

/**
 * Row of a pod's port.
 * @param tunnelPort UDP port of nodes that is closed to it; 0: none
 * @param usual addresses that are the pod's, one of each family, and nobody else's
 */
export function podPortRow(ports: RouterPorts, port: string, tunnelPort: number, usual: readonly string[]): Row {
  const row = portRow(ports, port, PORT.strict | PORT.fragment);
  const [source4, source6] = ([4, 6] as const).map((family) => usual.find((ip) => familyOf(ip) === family));
  const sources = {
    source4: source4 ? ipBytes(source4).subarray(0, 4) : new Uint8Array(4),
    source6: source6 ? ipBytes(source6) : new Uint8Array(16),
  };
  return { ...row, value: { ...row.value, tunnel_port: tunnelPort, ...sources } };
}
