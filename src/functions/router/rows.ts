import type { Row, RowFields } from "../../model/document.ts";
import { familyOf, ipBytes, macBytes, type Prefix } from "../../model/ip.ts";
import { fullName, GATEWAY_MAC, HOST, HOST_MAC, ROUTER } from "./names.ts";

/** `enum weir_rt_target_flags` */
export const TARGET = { local: 1, unreachable: 2, prohibited: 4, blackhole: 8, node: 16 } as const;
/** `enum weir_rt_port_flags` */
export const PORT = { strict: 1, proxy: 2, host: 4, uplink: 8, overlay: 16, fragment: 32 } as const;

/** A target that is no port: its flags say what happens. */
export const nowhere = (flags: number): RowFields => ({ port: 0, mac: new Uint8Array(6), flags, tunnel: 0 });

/** A target to which packets are sent by this port and MAC address, and by this tunnel if the port has tunnels. */
export const toward = (port: string, mac: string, flags = 0, tunnel?: string): RowFields => ({
  port: { port: fullName(port) },
  mac: macBytes(mac),
  flags,
  tunnel: tunnel === undefined ? 0 : { tunnel },
});

/** The row of a tunnel's remote end. */
export const tunnelRow = (tunnel: string, vni: number, remote: string): Row => ({
  table: "weir_tunnels",
  key: { tunnel }, // the key is the tunnel's id
  value: { family: familyOf(remote), vni, remote: ipBytes(remote) },
});

/** The row of an address. */
export function hostRow(address: string, target: RowFields): Row {
  const key = { instance: { instance: ROUTER }, family: familyOf(address), addr: ipBytes(address) };
  return { table: "weir_rt_hosts", key, value: target };
}

/** The row of a network. */
export function routeRow({ family, length, address }: Prefix, target: RowFields): Row {
  const key = { prefixlen: 64 + length, instance: { instance: ROUTER }, family, addr: ipBytes(address) };
  return { table: "weir_rt_routes", key, value: target };
}

/** Properties of the router that are common to all ports of a node. */
export interface RouterPorts {
  /** MTU of pods' devices, bytes at layer 3. */
  mtu: number;
  gateway4?: string | undefined;
  gateway6?: string | undefined;
}

/** The row of a port. */
export function portRow({ mtu, gateway4, gateway6 }: RouterPorts, port: string, flags: number): Row {
  return {
    table: "weir_rt_ports",
    key: { port: fullName(port) }, // the key is the port's id
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
 * The row of a pod's port.
 * @param tunnelPort the nodes' tunnel port, UDP, which is closed to the pod; 0: none
 * @param usual addresses that only this pod has, one of each family
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
