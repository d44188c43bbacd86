import { containsCidr } from "cidr-tools";
import * as z from "zod";
import { parseCidr } from "../../model/addresses.ts";
import { MAXIMUM_RATE, MINIMUM_RATE, parseRate } from "../../model/bandwidth.ts";
import { MAX_HOLD, MAX_RULE_PORTS } from "../../model/impair.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { Impairment, Limit } from "../../model/objects.ts";
import type { Result } from "../../model/text.ts";
import { formatDuration, parseDuration, parsePercent } from "../../model/units.ts";
import { type Hint, says } from "../../model/wording.ts";
import { checked, namespaced, some, whole } from "./fields.ts";
import * as hints from "./hints.ts";
import { selector } from "./selector.ts";
import * as api from "./server.ts";

/** A text that a parser of the model accepts. It stays text, and is parsed where rules are read. */
const parsed = (parse: (text: string) => Result<unknown>, hint: Hint) =>
  checked((text) => {
    const result = parse(text);
    return result.ok ? undefined : result.reason;
  }, hint);
/** A percentage. @param description for the API server */
const percentLoss = (description: string) =>
  parsed(parsePercent, hints.percentage).meta({ ...api.percentage, description });
const percent = (description: string) => percentLoss(description).optional();
const quantity = (description: string) =>
  parsed(parseRate, hints.rate)
    .meta({ ...api.bitRate(MINIMUM_RATE, MAXIMUM_RATE), description })
    .optional();
const cidr = parsed(parseCidr, hints.network).meta(api.network);
const serviceName = checked(checkLabelName, hints.serviceName).meta(api.labelName);

const choice = {
  pod: checked(checkSubdomain, hints.pod)
    .meta({ ...api.subdomain, description: "A pod of this namespace, by name" })
    .optional(),
  selector: selector.optional(),
  service: serviceName.meta({ ...api.labelName, description: "The pods that this Service selects" }).optional(),
};
const CHOICES = ["pod", "selector", "service"] as const;

function oneOf(value: object, names: readonly string[], context: z.RefinementCtx): void {
  const given = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined);
  if (given.length === 1) return;
  const message =
    given.length === 0 ? `needs one of ${names.join(", ")}` : `has ${given.join(" and ")}; write one of them`;
  context.addIssue({ code: "custom", path: given.slice(1, 2), message });
}

const limitSpec = z
  .strictObject({
    ...choice,
    ingress: quantity("What each pod receives at most, bits a second at layer 3, such as 50M"),
    egress: quantity("What each pod sends at most, bits a second at layer 3, such as 10M"),
  })
  .superRefine((spec, context) => {
    oneOf(spec, CHOICES, context);
    if (spec.ingress === undefined && spec.egress === undefined) {
      context.addIssue({ code: "custom", path: [], message: "needs ingress or egress" });
    }
  })
  .meta(
    api.server(
      "A bandwidth limit of pods",
      api.exactlyOne(CHOICES),
      api.rule("has(self.ingress) || has(self.egress)", "needs ingress or egress"),
    ),
  );

const burst = z.strictObject({
  p: percentLoss("From good to bad, for each packet"),
  r: percentLoss("From bad to good, for each packet"),
  lossGood: percent("Loss while good; 0% if left out"),
  lossBad: percent("Loss while bad; 100% if left out"),
});
const LOSS = 'a percentage such as "2%", or {exponential: {threshold: 0 to 1000}}, or {burst: {p: "1%", r: "20%"}}';
const lossError = ({ input }: { input?: unknown }): string => {
  const meant = hints.percentage.meant?.(input);
  return `must be ${LOSS}${meant === undefined ? "" : `; write ${meant}`}`;
};
const loss = z
  .union(
    [
      percentLoss("Each packet by itself"),
      z.strictObject({
        exponential: z.strictObject({ threshold: whole(0, 1000) }, { error: says(hints.exponential) }),
      }),
      z.strictObject({ burst }),
    ],
    { error: lossError },
  )
  .meta({ description: `Packets lost: ${LOSS}` });

const OUTSIDE = "is not within cidr: it takes nothing away";
/** Invalid networks are reported elsewhere. */
const isOutside = (each: string, whole: string | undefined): boolean =>
  whole !== undefined && parseCidr(each).ok && parseCidr(whole).ok && !containsCidr(whole, each);

const PEERS = ["cidr", "podSelector", "service"] as const;
const peer = z
  .strictObject(
    {
      cidr: cidr.optional(),
      except: z.array(cidr).max(64).meta({ description: "Networks left out of cidr" }).optional(),
      podSelector: selector.optional(),
      namespaceSelector: selector
        .meta({ description: "Labels that the pods' namespaces must have; this namespace alone if left out" })
        .optional(),
      service: z
        .strictObject({ name: serviceName, namespace: serviceName.optional() }, { error: says(hints.service) })
        .meta({ description: "A Service's pods and cluster addresses; of this namespace if none is given" })
        .optional(),
    },
    { error: says(hints.peer) },
  )
  .superRefine((one, context) => {
    oneOf(one, PEERS, context);
    if (one.except && !one.cidr)
      context.addIssue({ code: "custom", path: ["except"], message: "goes with cidr alone" });
    const outside = one.except?.find((each) => isOutside(each, one.cidr));
    if (outside) context.addIssue({ code: "custom", path: ["except"], message: `${outside} ${OUTSIDE}` });
    if (one.namespaceSelector && !one.podSelector) {
      context.addIssue({ code: "custom", path: ["namespaceSelector"], message: "goes with podSelector alone" });
    }
  })
  .meta(
    api.server(
      "One other end",
      api.exactlyOne(PEERS),
      api.rule("!has(self.except) || has(self.cidr)", "goes with cidr alone", ".except"),
      api.rule(
        "!has(self.except) || !has(self.cidr) || !isCIDR(self.cidr) || self.except.all(e, !isCIDR(e) || cidr(self.cidr).containsCIDR(e))",
        `a network ${OUTSIDE}`,
        ".except",
      ),
      api.rule(
        "!has(self.namespaceSelector) || has(self.podSelector)",
        "goes with podSelector alone",
        ".namespaceSelector",
      ),
    ),
  );

const portNumber = whole(1, 65_535).optional();
const port = z
  .strictObject(
    { protocol: z.enum(["TCP", "UDP", "SCTP", "ICMP"]), port: portNumber, endPort: portNumber },
    { error: says(hints.port) },
  )
  .superRefine(({ protocol, port: first, endPort }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (protocol === "ICMP" && first !== undefined) issue("port", "ICMP has no ports");
    if (endPort !== undefined && first === undefined) issue("endPort", "needs port");
    if (endPort !== undefined && first !== undefined && endPort < first) issue("endPort", "is below port");
  })
  .meta(
    api.server(
      "A port of either end",
      api.rule("self.protocol != 'ICMP' || !has(self.port)", "ICMP has no ports", ".port"),
      api.rule("!has(self.endPort) || has(self.port)", "needs port", ".endPort"),
      api.rule("!has(self.endPort) || !has(self.port) || self.endPort >= self.port", "is below port", ".endPort"),
    ),
  );

const EFFECTS = ["loss", "duplicate", "corrupt", "reorder", "delay", "pace"] as const;

/** Converts a bound, which is a duration. */
const bound = (text: string): number => {
  const result = parseDuration(text);
  if (!result.ok) throw new Error(result.reason);
  return result.value;
};

/** A duration within bounds. */
const between = (least: string, most: string, example: string, description: string) =>
  checked((value) => {
    const result = parseDuration(value, example);
    if (!result.ok) return result.reason;
    const isOutside = result.value < bound(least) || result.value > bound(most);
    return isOutside ? `must be ${least} to ${most}` : undefined;
  }, hints.duration(example)).meta({ ...api.timeSpan(least, most), description });
const LONGEST_HOLD = formatDuration(MAX_HOLD);

const delay = z
  .strictObject(
    {
      latency: between("1us", LONGEST_HOLD, "50ms", "How long each packet waits, such as 50ms"),
      jitter: between("0s", LONGEST_HOLD, "10ms", "How far that varies, evenly, to both sides").optional(),
    },
    { error: says(hints.delay) },
  )
  .superRefine(({ latency, jitter = "0s" }, context) => {
    const [base, around] = [parseDuration(latency), parseDuration(jitter)];
    if (!base.ok || !around.ok || around.value <= base.value) return;
    context.addIssue({
      code: "custom",
      path: ["jitter"],
      message: "is longer than latency: no packet can come before it is sent",
    });
  })
  .meta(
    api.server(
      "Packets wait; needs the fq qdisc on the node",
      api.rule(
        "!has(self.jitter) || duration(self.jitter) <= duration(self.latency)",
        "is longer than latency",
        ".jitter",
      ),
    ),
  );

const impairmentSpec = z
  .strictObject({
    ...choice,
    direction: z.enum(["ingress", "egress", "both"], { error: hints.direction }).default("both"),
    loss: loss.optional(),
    duplicate: percent("Packets that arrive twice"),
    corrupt: percent("Packets with a bit changed"),
    reorder: percent("Packets that overtake those that are delayed; needs delay"),
    delay: delay.optional(),
    pace: quantity("Bits a second at which packets leave evenly spaced; needs the fq qdisc on the node"),
    seed: whole(0, 4_294_967_295).meta({ description: "The same seed and the same packets: the same fate" }).optional(),
    match: z
      .strictObject({
        peers: some(peer, 64, hints.peers).optional(),
        ports: some(port, MAX_RULE_PORTS, hints.ports).optional(),
      })
      .meta({ description: "Only these packets: any of the peers, and any of the ports" })
      .optional(),
    exempt: z
      .strictObject({ probes: z.boolean().optional(), dns: z.boolean().optional() })
      .meta({ description: "Spare kubelet's probes, DNS; true unless narrowed by match" })
      .optional(),
    override: z
      .boolean()
      .meta({ description: "Come before all that others say of the same packets, the pod's own annotations too" })
      .optional(),
    lease: between("1s", "24h", "30s", "How long it outlives its agent, such as 30s").optional(),
    until: z.iso
      .datetime({ offset: true, error: "must be a time such as 2026-01-02T15:04:05Z" })
      .meta({ description: "When it ends, such as 2026-01-02T15:04:05Z" })
      .optional(),
  })
  .superRefine((spec, context) => {
    oneOf(spec, CHOICES, context);
    if (EFFECTS.every((name) => spec[name] === undefined)) {
      context.addIssue({ code: "custom", path: [], message: `needs one of ${EFFECTS.join(", ")}` });
    }
    if (spec.reorder !== undefined && spec.delay === undefined) {
      context.addIssue({
        code: "custom",
        path: ["reorder"],
        message: "needs delay: what overtakes must have something to overtake",
      });
    }
  })
  .meta({
    ...api.server(
      "What a bad network does to pods",
      api.exactlyOne(CHOICES),
      api.rule("!has(self.reorder) || has(self.delay)", "needs delay", ".reorder"),
    ),
    ...api.atLeastOne(EFFECTS),
  });

/** Specs of Weir's kinds. */
export const specs = { Limit: limitSpec, Impairment: impairmentSpec };

/** A bandwidth limit as an object. */
export const limit = z
  .object({ kind: z.literal("Limit"), metadata: namespaced(), spec: limitSpec })
  .transform((object): Limit => object);
/** An impairment as an object. */
export const impairment = z
  .object({ kind: z.literal("Impairment"), metadata: namespaced(), spec: impairmentSpec })
  .transform((object): Impairment => object);
