import { isMap, isScalar, parseDocument, visit } from "yaml";
import * as z from "zod";
import { parseCidr, sizeOf } from "../model/addresses.ts";
import { apiVersion } from "../model/version.ts";
import { inWords } from "../model/wording.ts";
import * as field from "./fields.ts";

/** The agent's configuration: a YAML file, overridden field by field by flags of `weir agent`. */

const port = z.number().int().min(1).max(65535);
const perFamily = (list: readonly string[]): boolean =>
  new Set(list.map((text) => text.includes(":"))).size === list.length;
const once = "at most one of each family";

const network = field.cidr.superRefine((text, context) => {
  const cidr = parseCidr(text);
  if (!cidr.ok) context.addIssue({ code: "custom", message: cidr.reason });
});

/** Where pods' addresses come from: judged here, before anything is made. */
const podNetwork = network.superRefine((text, context) => {
  const cidr = parseCidr(text);
  if (cidr.ok && sizeOf(cidr.value) < SMALLEST) context.addIssue({ code: "custom", message: "has no room for a pod" });
});
/** The network's own address, the gateway, a pod and IPv4's broadcast. */
const SMALLEST = 4n;

const rules = z
  .strictObject({
    bandwidth: z.boolean().default(true).describe("take the annotation `bandwidth`"),
    rate: z.boolean().default(true).describe("take the label `rate`"),
    rateUnit: z.enum(["megabits", "megabytes"]).default("megabits").describe("what the label's `M` stands for"),
    kubernetes: z.boolean().default(true).describe("take `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`"),
    calico: z.boolean().default(true).describe("take `qos.projectcalico.org/ingressBandwidth` and `egressBandwidth`"),
    loss: z.boolean().default(true).describe("take the annotation `loss`"),
    ebpfLimit: z.boolean().default(true).describe("take the annotation `ebpf-limit`"),
    defaultLease: z
      .number()
      .int()
      .min(5)
      .max(86_400)
      .default(60)
      .describe("seconds that an impairment outlives its agent, if it names none itself"),
  })
  .describe("which keys of pods are rules; other tools use some of the names");

export const agentConfig = z
  .strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal("AgentConfig"),
    node: field.objectName.optional().describe("the node's name; the host's name if left out"),
    addresses: z
      .array(field.ipAddress)
      .refine(perFamily, once)
      .optional()
      .describe("underlay addresses; those of the uplink if left out"),
    podCIDRs: z
      .array(podNetwork)
      .refine(perFamily, once)
      .optional()
      .describe("where pods' addresses come from; the Node object's if left out"),
    clusterCIDRs: z
      .array(network)
      .optional()
      .describe("networks that all nodes' pod CIDRs lie in; for a family with none, 256 times the node's own"),
    nodeCIDRs: z.array(network).optional().describe("networks that other nodes' addresses lie in; any if left out"),
    mode: z
      .enum(["network", "chained"])
      .default("network")
      .describe("network: pods' network is Weir's; chained: another CNI's, beside which pods are limited and impaired"),
    overlay: z.enum(["vxlan", "direct"]).default("vxlan").describe("how pods of other nodes are reached"),
    vxlan: z
      .strictObject({
        port: port.default(4789).describe("UDP port"),
        vni: z.number().int().min(1).max(0xffffff).default(1).describe("network identifier"),
      })
      .prefault({}),
    uplink: field.deviceName.optional().describe("device to the other nodes; the default route's if left out"),
    mtu: z
      .number()
      .int()
      .min(1280)
      .max(65535)
      .optional()
      .describe("of pods' devices, bytes; from the uplink's if left out"),
    manifests: field.absolutePath.optional().describe("watched folder or file of Kubernetes manifests"),
    kubernetes: z
      .strictObject({
        kubeconfig: field.absolutePath
          .optional()
          .describe("its file; $KUBECONFIG's, else ~/.kube/config, else the pod's own cluster if left out"),
        context: z.string().min(1).optional().describe("its context; the current one if left out"),
      })
      .optional()
      .describe("take objects from a Kubernetes API, not from manifests"),
    programs: field.absolutePath
      .optional()
      .describe("administrator's folder of programs for `ebpf-limit`, root's alone; none if left out"),
    podCgroups: field.absolutePath
      .optional()
      .describe("folder of cgroups `pod<uid>` (v2) of pods with hostNetwork, before kubelet's own places"),
    panelPorts: z
      .number()
      .int()
      .min(64)
      .max(16_384)
      .default(4096)
      .describe("ports that the node has room for: its pods, and a few of its own"),
    state: field.absolutePath.default("/var/lib/weir").describe("what must outlive the agent"),
    bpffs: field.absolutePath.default("/sys/fs/bpf").describe("BPF file system where programs and maps are pinned"),
    socket: field.absolutePath.default("/run/weir/agent.sock").describe("unix socket of the API"),
    metrics: z
      .string()
      .regex(/^(\[[0-9A-Fa-f:.]+\]|[^:\s]*):\d{1,5}$/, "must be HOST:PORT, e.g. 127.0.0.1:9095")
      .optional()
      .describe("`HOST:PORT` that serves /metrics and /healthz alone; none if left out"),
    rules: rules.prefault({}),
  })
  .refine(({ manifests, kubernetes }) => !manifests || !kubernetes, {
    path: ["kubernetes"],
    message: "does not go with manifests: objects come from one place",
  })
  .meta({ id: "AgentConfig", description: "configuration of one agent" });

export type AgentConfig = z.infer<typeof agentConfig>;
/** Fields that replace those of the file, e.g. from flags; undefined ones do not. */
export type ConfigOverrides = { [K in keyof Omit<AgentConfig, "apiVersion" | "kind">]?: AgentConfig[K] | undefined };

/** A configuration that cannot be taken. `path` is the field, `line` its line in the file (from 1). */
export class ConfigError extends Error {
  readonly code = "config";
  readonly path: string | undefined;
  readonly line: number | undefined;

  constructor(
    message: string,
    details: { path?: string | undefined; line?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = "ConfigError";
    this.path = details.path;
    this.line = details.line;
  }
}

/** All defaults, with overrides. Throws ConfigError. */
export function defaultConfig(overrides: ConfigOverrides = {}): AgentConfig {
  return check({ apiVersion, kind: "AgentConfig" }, overrides, "flags");
}

/** Reads the text of a configuration file. Throws ConfigError `read FILE:LINE: FIELD: CAUSE`. */
export function parseConfig(text: string, file: string, overrides: ConfigOverrides = {}): AgentConfig {
  const document = parseDocument(text, { prettyErrors: false });
  const [broken] = document.errors;
  if (broken) {
    const line = lineOfOffset(text, broken.pos[0]);
    throw new ConfigError(`read ${file}:${line}: ${broken.message}`, { line, cause: broken });
  }
  visit(document, {
    Alias: () => {
      // a few aliases of aliases make gigabytes
      throw new ConfigError(`read ${file}: aliases are not taken`);
    },
  });
  if (!isMap(document.contents)) throw new ConfigError(`read ${file}: must be a map of fields`);
  const lineOf = (path: readonly PropertyKey[]): number | undefined => lineAt(document.contents, path, text);
  return check(document.toJS() as object, overrides, file, lineOf);
}

function check(
  input: object,
  overrides: ConfigOverrides,
  file: string,
  lineOf: (path: readonly PropertyKey[]) => number | undefined = () => undefined,
): AgentConfig {
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const result = agentConfig.safeParse({ ...input, ...given }, { error: inWords });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const keys = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const full = [...(issue?.path ?? []), ...keys];
  const path = full.join(".");
  const fromFlag = String(full[0]) in given;
  const line = fromFlag ? undefined : lineOf(full);
  const where = fromFlag ? "flags" : `${file}${line ? `:${line}` : ""}`;
  throw new ConfigError(`read ${where}: ${path}: ${issue?.message ?? "invalid"}`, { path, line, cause: result.error });
}

/** Line of the deepest part of a path that the document holds. */
function lineAt(root: unknown, path: readonly PropertyKey[], text: string): number | undefined {
  let node = root;
  let offset: number | undefined;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
      if (!pair) break;
      offset = (pair.key as { range?: [number, number, number] }).range?.[0] ?? offset;
      node = pair.value;
      continue;
    }
    const item = (node as { items?: unknown[] } | null)?.items?.[step as number];
    if (item === undefined) break;
    offset = (item as { range?: [number, number, number] }).range?.[0] ?? offset;
    node = item;
  }
  return offset === undefined ? undefined : lineOfOffset(text, offset);
}

function lineOfOffset(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
