import * as z from "zod";

/** Schemas of single fields that several objects share. All input is hostile: each has a bound and an alphabet. */

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

export const namespaceName = z
  .string()
  .max(63)
  .regex(label, "must be lower-case letters, digits and '-', and start and end with a letter or digit")
  .describe("Kubernetes namespace, e.g. `default`");

export const objectName = z
  .string()
  .max(253)
  .regex(subdomain, "must be lower-case letters, digits, '-' and '.', and start and end with a letter or digit")
  .describe("Kubernetes object name, e.g. `web-0`");

export const kind = z
  .string()
  .max(63)
  .regex(/^[A-Za-z][A-Za-z0-9]*$/, "must be letters and digits")
  .describe("the object's kind, e.g. `Impairment`");

export const uid = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "must be letters, digits, '.', '_' and '-'")
  .describe("the pod's metadata.uid");

export const sandbox = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "must be letters, digits, '.', '_' and '-'")
  .describe("the runtime's id of the pod's sandbox (CNI_CONTAINERID)");

export const deviceName = z
  .string()
  .max(15)
  .regex(/^(?!\.{1,2}$)[!-.0-9;-~]+$/, "must be 1 to 15 printable characters without '/', ':' and spaces")
  .describe("network device name, e.g. `eth0`");

/** An absolute path without `..`, control characters or a NUL. */
export const absolutePath = z
  .string()
  .max(4095)
  .regex(/^\//, "must be absolute")
  .refine((path) => !/\p{Cc}/u.test(path), "must not hold control characters")
  .refine((path) => !path.split("/").includes(".."), "must not hold '..'");

export const ipAddress = z.union([z.ipv4(), z.ipv6()], "must be an IPv4 or IPv6 address");
export const cidr = z.union([z.cidrv4(), z.cidrv6()], "must be an IPv4 or IPv6 network, e.g. 10.244.1.0/24");

export const direction = z.enum(["ingress", "egress"]);
export const count = z.number().int().nonnegative();
export const rate = z.number().nonnegative();
export const namespace = z.string().describe("the pod's namespace");
export const owner = z
  .string()
  .nullable()
  .describe("pod whose port it is, as `namespace/name`; null if it is the node's");
export const node = z.string().describe("node that answers");

export const counter = z.object({
  packets: count.describe("packets since the port was made"),
  bytes: count.describe("bytes since the port was made, at layer 2; of a packet of several segments the headers once"),
});
