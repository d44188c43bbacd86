import { ethernet, type Layer3, type Layer4, udp } from "../../../../test/packets.ts";
import { parse } from "../../../../test/parse.ts";
import { GATEWAY_MAC, HOST_MAC } from "../names.ts";
import { endpoint } from "./fixture.ts";

export const A = endpoint("a", 10);
export const B = endpoint("b", 11);
export const [A4, A6] = A.ips as [string, string];
export const [B4, B6] = B.ips as [string, string];
export const GW4 = "10.244.1.1";
export const GW6 = "fd00:10:244:1::1";
export const MACS = { router: GATEWAY_MAC, host: HOST_MAC, a: A.mac, b: B.mac, far: "02:00:00:00:0f:0f" } as const;

export const DATA = Buffer.from("the quick brown fox jumps over the lazy dog, twice and again");
export const dns = (data: Buffer = DATA): Layer4 => udp({ sport: 40000, dport: 53 }, data);
export const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 0xff));

/** A frame from pod a to the router. */
export const fromA = (packet: Layer3, dst: string = MACS.router): Buffer => ethernet({ src: MACS.a, dst }, packet);
export const fromHost = (packet: Layer3): Buffer => ethernet({ src: MACS.host, dst: MACS.router }, packet);
export const fromFar = (packet: Layer3): Buffer => ethernet({ src: MACS.far, dst: MACS.router }, packet);
/** A frame from the router to this MAC address. */
export const routed = (dst: string, packet: Layer3): Buffer => ethernet({ src: MACS.router, dst }, packet);

/** A parsed ICMP error. */
export interface IcmpError {
  src: string;
  dst: string;
  type: number;
  code: number;
  /** Second word of the header: the MTU in "too big". */
  mtu: number;
  /** The quoted packet. */
  quote: Buffer;
  length: number;
}

export function icmpError(frame: Buffer): IcmpError {
  const { ip, payload } = parse(frame);
  if (!ip) throw new Error("no IP packet");
  return {
    src: ip.src,
    dst: ip.dst,
    type: ip.payload.readUInt8(0),
    code: ip.payload.readUInt8(1),
    mtu: ip.payload.readUInt32BE(4),
    quote: ip.payload.subarray(8),
    length: payload.length,
  };
}

export const NODE2 = { pod4: "10.244.2.9", pod6: "fd00:10:244:2::9", own4: "192.168.0.2", own6: "fd00:192::2" };
export const NODE1 = { own4: "192.168.0.1", own6: "fd00:192::1" };
export const WORLD = { v4: "198.51.100.7", v6: "2001:db8::7" };
export const options = Buffer.from([7, 7, 4, 0, 0, 0, 0, 0]); // record route
export const hopByHop = { protocol: 0, bytes: Buffer.from([0, 0, 1, 4, 0, 0, 0, 0]) };
export const destinationOptions = { protocol: 60, bytes: Buffer.from([0, 1, 1, 12, ...Buffer.alloc(12)]) };
