import { createHash } from "node:crypto";

export const ROUTER = "router";
/** MAC address of the router on every port, and of the host side of every pod's link. Locally administered. */
export const GATEWAY_MAC = "02:77:65:69:72:01";
/** MAC address of `weir_host`, which connects the node's stack and the router. */
export const HOST_MAC = "02:77:65:69:72:02";
/** The router's link-local address on every port. */
export const LINK_LOCAL = "fe80::1";

export const HOST = { device: "weir_host", other: "weir_panel", port: "host" } as const;
export const OVERLAY = { device: "weir_vxlan", port: "overlay" } as const;
export const UPLINK = { port: "uplink" } as const;

/** The longest tunnel name: with `tunnel:` before it and a NUL after it, it fits a name's 56 bytes. */
const MAX_NAME = 48;

const HASHED = /-[0-9a-f]{12}$/;

/** The name of the tunnel to another node: the node's name, or its hash if that is too long or looks like a hash. */
export function tunnelName(node: string): string {
  const length = Buffer.byteLength(node);
  if (length < MAX_NAME || (length === MAX_NAME && !HASHED.test(node))) return node;
  const digest = createHash("sha256").update(node).digest("hex").slice(0, 12);
  return `${node.replaceAll(/[^\x21-\x7e]/g, "-").slice(0, MAX_NAME - 13)}-${digest}`;
}

/** A port's full name. */
export const fullName = (port: string): string => `${ROUTER}:${port}`;
