import * as z from "zod";
import * as field from "./fields.ts";

/**
 * Schemas of all requests and answers. REST, OpenAPI, the client's types and `weir explain` are derived from them.
 * Rates are bit/s at layer 3, times are ISO 8601 in UTC.
 */

export const problem = z
  .object({
    object: z.string().describe("the object concerned, `Kind/namespace/name`, or a file"),
    path: z.string().optional().describe('field, e.g. `metadata.annotations["bandwidth"]`'),
    message: z.string().describe("what is wrong, and what would be valid"),
    severity: z
      .enum(["error", "warning", "skipped"])
      .optional()
      .describe("default: error; warning: the rule is in force; skipped: Weir ignores it"),
  })
  .meta({ id: "Problem", description: "something that was refused or could not be enforced, and why" });

const nodeProblem = z
  .object({ node: field.node, ...problem.shape })
  .meta({ id: "NodeProblem", description: "a problem and the node that reports it" });

export const status = z
  .object({
    node: field.node,
    version: z.string().describe("the agent's version"),
    abi: field.count.describe("version of the panel's ABI, as in its pin path"),
    state: z
      .enum(["starting", "ready", "degraded"])
      .describe(
        "starting: sources not yet read or rows not yet written; degraded: an item that the node itself needs is not in force, an object's item is being retried, a removed item has not been restored, or a source is unavailable",
      ),
    reason: z.string().nullable().describe("why the state is not `ready`"),
    kernel: z.string().describe("kernel release, e.g. `6.1.0-18-amd64`"),
    pid: field.count.describe("process id of the agent"),
    startedAt: z.iso.datetime().describe("start of the agent"),
    pods: field.count.describe("pods of this node whose network is in force"),
    problems: z.array(problem).describe("what could not be taken or enforced"),
    observed: z
      .object({
        sources: z
          .array(
            z.object({
              name: z.string().describe("e.g. `manifests`"),
              synced: z.boolean().describe("has delivered its initial state"),
              objects: field.count.describe("number of its objects"),
            }),
          )
          .describe("where the cluster state comes from"),
        generation: field.count.describe("number of desired states that were applied"),
        rows: field.count.describe("rows of the desired state"),
        pending: field.count.describe("items that keep the state from being `ready`; before the first pass all rows"),
        failed: field.count.describe("items of the node and of objects that are not in force; they are retried"),
        writes: field.count.describe("kernel objects and map rows written or removed since start"),
        reconciledAt: z.iso.datetime().nullable().describe("end of the last reconciliation"),
        resourceVersion: z
          .string()
          .nullable()
          .describe("metadata.resourceVersion of the node's own Node object in force"),
      })
      .describe("what the agent has read and applied"),
  })
  .meta({ id: "Status", description: "state of one agent" });

export const pod = z
  .object({
    namespace: field.namespace,
    name: z.string().describe("the pod's name"),
    node: field.node,
    ips: z.array(z.string()).describe("addresses, IPv4 first; empty until the pod's network is in force"),
    device: z.string().nullable().describe("device on the node's side"),
    resourceVersion: z.string().nullable().describe("metadata.resourceVersion of the object in force"),
    problems: z.array(problem).describe("what could not be taken or enforced"),
  })
  .meta({ id: "Pod", description: "a pod of this node" });

const overruledBy = z
  .string()
  .optional()
  .describe("`Kind/namespace/name` of the object that overrules it; absent if none does");

const amount = z
  .object({ packets: field.count.describe("as on the wire"), bytes: field.count.describe("at layer 3") })
  .nullable();
const seconds = z.number().positive().nullable();

export const limit = z
  .object({
    namespace: field.namespace,
    pod: z.string().describe("the pod's name"),
    node: field.node,
    direction: field.direction.nullable().describe("from the pod's view; null if the value does not say"),
    source: z.string().describe("key of the rule, e.g. `kubernetes.io/egress-bandwidth`"),
    written: z.string().describe("the value as its author wrote it"),
    configured: field.rate.nullable().describe("bit/s of the value; null if it is invalid"),
    effective: field.rate.nullable().describe("bit/s that the datapath enforces; null if it enforces none"),
    measured: field.rate
      .nullable()
      .describe("bit/s over the last second of steady traffic, also once that has ended; null if there was none"),
    measuredAge: z.number().min(0).nullable().describe("seconds since that second ended; null if there was none"),
    received: amount.describe(
      "what arrived at the limit: exactly `sent` + `dropped` + `queued` + `lost`; null if it is not in the datapath",
    ),
    sent: amount.describe("what it passed"),
    dropped: amount.describe("what it dropped at arrival because its queue was full: `rate_limit` in drops"),
    queued: amount.describe("what waits now; includes `lost` while traffic is too fast to distinguish the two"),
    lost: amount.describe(
      "what was in its queue when that was removed, e.g. by an edit to a rate that is too low to drain it; while packets still wait, their number is estimated from bytes",
    ),
    marked: field.count.nullable().describe("packets that it marked with ECN's congestion experienced"),
    delayed: field.count.nullable().describe("packets passed after waiting for 1 ms or longer"),
    wait: z
      .object({ p50: seconds.describe("of half of the packets"), p99: seconds.describe("of 99 % of the packets") })
      .describe(
        "seconds that passed packets had waited, as the upper bound of a class of `waits`; null if none was passed, and above 0.5",
      ),
    waits: z
      .array(field.count)
      .nullable()
      .describe("passed packets by how long they had waited: below 1, 2, 5, 10, 20, 50, 100, 200, 500 ms, and longer"),
    mechanism: z.string().nullable().describe("how it is enforced, e.g. `htb`"),
    reason: z.string().nullable().describe("why `effective` differs from `configured`"),
    overruledBy,
  })
  .meta({ id: "Limit", description: "a bandwidth limit of one pod in one direction, and whether it is in force" });

const share = z.number().min(0).max(1);
const probability = share.nullable();
const effects = z
  .object({
    loss: z
      .discriminatedUnion("model", [
        z.object({ model: z.literal("uniform"), probability: share }),
        z.object({ model: z.literal("exponential"), threshold: z.number() }),
        z.object({ model: z.literal("burst"), p: share, r: share, lossGood: share, lossBad: share }),
      ])
      .optional()
      .describe("how packets are lost"),
    duplicate: share.optional().describe("probability of a copy"),
    corrupt: share.optional().describe("probability of a flipped bit"),
    reorder: share.optional().describe("probability that a packet is not delayed"),
    delay: z
      .object({ base: z.number(), jitter: z.number() })
      .optional()
      .describe("ns: `base` ± `jitter`, uniformly distributed"),
    pace: z.number().optional().describe("bit/s at layer 3"),
  })
  .describe("its effects, as numbers");
export const impairment = z
  .object({
    namespace: field.namespace,
    pod: z.string().describe("the pod's name"),
    node: field.node,
    direction: field.direction.describe("from the pod's view"),
    source: z.string().describe("where it is written: a key of the pod, or `Kind/namespace/name`"),
    configured: z.string().describe("what it asks for"),
    match: z.string().nullable().describe("matched peers and ports; null: all traffic"),
    effective: z.string().nullable().describe("effects in the datapath; null if there are none"),
    state: z.enum(["active", "expired", "not enforced"]).describe("expired: its lease is over"),
    remaining: z.number().nonnegative().nullable().describe("seconds until its lease ends unless it is renewed"),
    packets: field.count.describe("packets that it matched"),
    lost: field.count.describe("of these, lost"),
    duplicated: field.count.describe("sent twice"),
    corrupted: field.count.describe("with a flipped bit"),
    reordered: field.count.describe("that overtook delayed ones"),
    delayed: field.count.describe("that were held"),
    bursts: field.count.describe("losses that begin a burst: lost packets ÷ this is the mean burst"),
    spared: field.count.describe("to be corrupted, but without a payload"),
    meanDelay: z.number().nonnegative().nullable().describe("mean delay of delayed packets, s; null before the first"),
    effects,
    expectedLoss: probability.describe("configured probability of a loss"),
    measuredLoss: probability.describe("share of the packets that was lost; null before the first packet"),
    lossLow: probability.describe("lower end of the exact 95 % interval of the loss (Clopper and Pearson)"),
    lossHigh: probability.describe("upper end of that interval"),
    reason: z.string().nullable().describe("why `effective` differs from `configured`"),
    overruledBy,
  })
  .meta({ id: "Impairment", description: "an impairment of one pod in one direction, and its counters" });

export const program = z
  .object({
    namespace: field.namespace,
    pod: z.string().describe("the pod's name"),
    node: field.node,
    direction: field.direction.describe("from the pod's view"),
    source: z.string().describe("where it is written: a key of the pod, or `Kind/namespace/name`"),
    program: z.string().describe("its name in the administrator's list"),
    configured: z.string().describe("the rule as its author wrote it"),
    effective: z
      .string()
      .nullable()
      .describe("program in force, with all macros; null if there is none, or it is not known since the agent's start"),
    build: z.string().nullable().describe("name of the build in force; null if there is none"),
    state: z
      .enum(["active", "compiling", "refused", "not enforced"])
      .describe("compiling, refused: the previous build stays in force, if there is one"),
    packets: field.count.describe("packets that the build processed, as on the wire"),
    bytes: field.count.describe("their bytes at layer 3"),
    dropped: field.count.describe("packets that it dropped"),
    other: field.count.describe("packets with a verdict that is neither pass nor drop: they passed"),
    reason: z.string().nullable().describe("why it is not active: the message of the compiler, the verifier or Weir"),
  })
  .meta({ id: "Program", description: "a user's program at one pod in one direction, and its counters" });

export const port = z
  .object({
    node: field.node,
    owner: field.owner,
    name: z.string().describe("`instance:port`"),
    instance: z.string().describe("instance of a function that has the port"),
    function: z.string().describe("function of the instance"),
    peer: z.string().describe("what it is connected to: a device, a tunnel, `instance:port`, the stack, or none"),
    device: z.string().nullable().describe("device whose packets enter the panel here"),
    state: z.enum(["up", "down"]).describe("down: no peer; packets are dropped"),
    ingress: z.array(z.string()).describe("instances in the ingress chain, in order"),
    egress: z.array(z.string()).describe("instances in the egress chain, in order"),
    received: field.counter.describe("packets that entered the panel here"),
    sent: field.counter.describe("packets that were delivered to the peer"),
  })
  .meta({ id: "Port", description: "a port of a network function" });

export const chain = z
  .object({
    node: field.node,
    owner: field.owner,
    port: z.string().describe("`instance:port`"),
    direction: field.direction.describe("ingress is into the port's function, egress is out of it"),
    hops: z
      .array(
        z.object({
          instance: z.string().describe("instance of a transparent function"),
          function: z.string().describe("function of the instance"),
        }),
      )
      .describe("transparent functions in the order in which they process packets"),
    end: z.string().describe("where the chain ends: the port's function or its peer"),
  })
  .meta({ id: "Chain", description: "functions that process the packets of a port in one direction" });

export const drop = z
  .object({
    node: field.node,
    owner: field.owner,
    port: z.string().describe("`instance:port`; `-` if the packet entered by no port; `gone` for removed ports"),
    direction: field.direction
      .nullable()
      .describe("from the pod's view: `egress` is what it sent; null for a port of the node itself"),
    reason: z.string().describe("e.g. `no_route`"),
    description: z.string().describe("explanation of the reason"),
    packets: field.count.describe("packets since the port was created"),
    bytes: field.count.describe(
      "bytes since the port was made, at layer 2; of a packet of several segments the headers once",
    ),
  })
  .meta({ id: "Drop", description: "packets dropped at one port for one reason" });

export const endpointSpec = z
  .strictObject({
    uid: field.uid,
    netns: field.absolutePath.describe("path of the pod's network namespace, e.g. `/run/netns/x`"),
    ifname: field.deviceName.default("eth0").describe("device name inside the pod"),
    sandbox: field.sandbox.optional(),
  })
  .meta({ id: "EndpointSpec", description: "a runtime's request" });

export const endpoint = z
  .object({
    node: field.node,
    namespace: field.namespace,
    name: z.string().describe("the pod's name"),
    uid: z.string().describe("the pod's metadata.uid"),
    netns: z.string().describe("path of the pod's network namespace"),
    ifname: z.string().describe("device name inside the pod"),
    sandbox: z.string().optional().describe("the runtime's id of the pod's sandbox, if given"),
    device: z.string().describe("device on the node's side"),
    mac: z.string().describe("address of the pod's device"),
    ips: z.array(z.string()).describe("addresses without prefix length, at most one of each family"),
  })
  .meta({ id: "Endpoint", description: "a pod that a runtime has attached" });

const objectNames = {
  kind: field.kind,
  namespace: z.string().nullable().describe("the object's namespace; null if its kind has none"),
  name: z.string().describe("the object's name"),
};

export const appliedObject = z
  .object({
    node: field.node,
    ...objectNames,
    manifest: z.record(z.string(), z.unknown()).describe("the document as it was applied"),
  })
  .meta({ id: "AppliedObject", description: "an object that was applied to the agent" });

export const objectSet = z
  .object({ items: z.array(z.unknown()).max(20_000).describe("manifests, e.g. of kind `Impairment`") })
  .meta({ id: "ObjectSet", description: "manifests to be applied, all or none; a Kubernetes List is one" });

export const objectChange = z
  .object({
    node: field.node,
    ...objectNames,
    action: z.enum(["created", "changed", "unchanged"]).describe("result, or expected result of a dry run"),
    problems: z.array(problem).describe("what is ignored or not in force, and why"),
  })
  .meta({ id: "ObjectChange", description: "result of applying one object" });

export const dryRun = z.object({
  dryRun: z.enum(["true", "false"]).default("false").describe("true: only report what would happen"),
});

export const objectParams = z.object({
  kind: field.kind,
  namespace: field.namespaceName,
  name: field.objectName,
});

export const probe = z
  .object({
    name: z.string().describe("e.g. `tcx links`"),
    minimum: z.string().nullable().describe("kernel release from which it exists, e.g. `6.6`"),
    available: z.boolean().describe("whether the machine supports it"),
    required: z.boolean().describe("Weir does not work without it"),
    hint: z.string().nullable().describe("consequence of its absence, and what to do"),
  })
  .meta({ id: "Probe", description: "one feature that the machine has or lacks" });

export const doctor = z
  .object({
    kernel: z.string().describe("kernel release"),
    arch: z.string().describe("machine type, e.g. `x64`"),
    ok: z.boolean().describe("every required probe is available"),
    probes: z.array(probe).describe("the probed features"),
  })
  .meta({ id: "Doctor", description: "what this machine supports, with the consequences" });

export const apiError = z
  .object({
    error: z.object({
      code: z.string().describe("stable: invalid, missing, exists, refused, unavailable or internal"),
      message: z.string().describe("verb, object, cause"),
      path: z.string().optional().describe("invalid field, e.g. `netns`"),
      hint: z.string().optional().describe("what to do"),
    }),
  })
  .meta({ id: "Error", description: "any error" });

/** Selects the sandbox to detach: a late call for an old sandbox must not detach its successor. */
export const endpointWhich = z.strictObject({
  uid: field.uid.optional(),
  netns: field.absolutePath.describe("path of the pod's network namespace").optional(),
  sandbox: field.sandbox.optional(),
});

export const endpointParams = z.object({ namespace: field.namespaceName, name: field.objectName });

/** Schema of an item by the name of its list. */
export const items = {
  pods: pod,
  limits: limit,
  impairments: impairment,
  programs: program,
  ports: port,
  chains: chain,
  drops: drop,
  problems: nodeProblem,
  endpoints: endpoint,
  objects: appliedObject,
};

export type Problem = z.infer<typeof problem>;
export type NodeProblem = z.infer<typeof nodeProblem>;
export type Status = z.infer<typeof status>;
export type Pod = z.infer<typeof pod>;
export type Limit = z.infer<typeof limit>;
export type Impairment = z.infer<typeof impairment>;
export type Program = z.infer<typeof program>;
export type Port = z.infer<typeof port>;
export type Chain = z.infer<typeof chain>;
export type Drop = z.infer<typeof drop>;
export type EndpointSpec = z.infer<typeof endpointSpec>;
export type EndpointWhich = z.infer<typeof endpointWhich>;
export type Endpoint = z.infer<typeof endpoint>;
export type AppliedObject = z.infer<typeof appliedObject>;
export type ObjectChange = z.infer<typeof objectChange>;
export type Probe = z.infer<typeof probe>;
export type Doctor = z.infer<typeof doctor>;
export type ErrorBody = z.infer<typeof apiError>;
/** Item type by the name of its list. */
export type Items = { [K in keyof typeof items]: z.infer<(typeof items)[K]> };
