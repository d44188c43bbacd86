import { z } from "zod";
import { parseCidr } from "../../model/addresses.ts";
import { MAX_HOLD, MAX_RULE_PORTS } from "../../model/impair.ts";
import { checkLabelName, checkSubdomain } from "../../model/names.ts";
import type { Impairment, Limit, Service } from "../../model/objects.ts";
import { parseBandwidthQuantity } from "../../model/rules.ts";
import type { Result } from "../../model/text.ts";
import { parseDuration, parsePercent } from "../../model/units.ts";
import { checked, labels, listOf, maybe, namespaced, whole } from "./fields.ts";
import { selector } from "./selector.ts";

/** A text that a parser of the model takes. It stays a text: what it means is worked out where rules are. */
const parsed = (parse: (text: string) => Result<unknown>) =>
  checked((text) => {
    const result = parse(text);
    return result.ok ? undefined : result.reason;
  });
const optional = (parse: (text: string) => Result<unknown>) => parsed(parse).optional();
const percent = optional(parsePercent);
const quantity = optional((text) => parseBandwidthQuantity(text, "egress"));
const cidr = parsed(parseCidr);
const percentLoss = parsed(parsePercent);

const choice = {
  pod: checked(checkSubdomain).optional(),
  selector: selector.optional(),
  service: checked(checkLabelName).optional(),
};
const CHOICES = ["pod", "selector", "service"] as const;

function oneOf(value: object, names: readonly string[], context: z.RefinementCtx): void {
  const given = names.filter((name) => (value as Record<string, unknown>)[name] !== undefined);
  if (given.length === 1) return;
  const message =
    given.length === 0 ? `needs one of ${names.join(", ")}` : `has ${given.join(" and ")}; write one of them`;
  context.addIssue({ code: "custom", path: given.slice(1, 2), message });
}

const limitSpec = z.strictObject({ ...choice, ingress: quantity, egress: quantity }).superRefine((spec, context) => {
  oneOf(spec, CHOICES, context);
  if (spec.ingress === undefined && spec.egress === undefined) {
    context.addIssue({ code: "custom", path: [], message: "needs ingress or egress" });
  }
});

const burst = z.strictObject({ p: percentLoss, r: percentLoss, lossGood: percent, lossBad: percent });
const loss = z.union(
  [
    percentLoss,
    z.strictObject({ exponential: z.strictObject({ threshold: whole(0, 1000) }) }),
    z.strictObject({ burst }),
  ],
  'must be a percentage such as "2%", or {exponential: {threshold: 0 to 1000}}, or {burst: {p: "1%", r: "20%"}}',
);

const peer = z
  .strictObject({
    cidr: cidr.optional(),
    except: z.array(cidr).max(64).optional(),
    podSelector: selector.optional(),
    namespaceSelector: selector.optional(),
    service: z
      .strictObject({ name: checked(checkLabelName), namespace: checked(checkLabelName).optional() })
      .optional(),
  })
  .superRefine((one, context) => {
    oneOf(one, ["cidr", "podSelector", "service"], context);
    if (one.except && !one.cidr)
      context.addIssue({ code: "custom", path: ["except"], message: "goes with cidr alone" });
    if (one.namespaceSelector && !one.podSelector) {
      context.addIssue({ code: "custom", path: ["namespaceSelector"], message: "goes with podSelector alone" });
    }
  });

const portNumber = whole(1, 65_535).optional();
const port = z
  .strictObject({ protocol: z.enum(["TCP", "UDP", "SCTP", "ICMP"]), port: portNumber, endPort: portNumber })
  .superRefine(({ protocol, port: first, endPort }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (protocol === "ICMP" && first !== undefined) issue("port", "ICMP has no ports");
    if (endPort !== undefined && first === undefined) issue("endPort", "needs port");
    if (endPort !== undefined && first !== undefined && endPort < first) issue("endPort", "is below port");
  });

const EFFECTS = ["loss", "duplicate", "corrupt", "reorder", "delay", "pace"] as const;
const SECOND = 1e9;

/** A duration between two bounds, ns. */
const between = (least: number, most: number, text: string) =>
  checked((value) => {
    const result = parseDuration(value);
    if (!result.ok) return result.reason;
    return result.value < least || result.value > most ? `must be ${text}` : undefined;
  });

const delay = z
  .strictObject({
    latency: between(1000, MAX_HOLD, "1us to 10s"),
    jitter: between(0, MAX_HOLD, "up to 10s").optional(),
  })
  .superRefine(({ latency, jitter = "0s" }, context) => {
    const [base, around] = [parseDuration(latency), parseDuration(jitter)];
    if (!base.ok || !around.ok || around.value <= base.value) return;
    context.addIssue({
      code: "custom",
      path: ["jitter"],
      message: "is longer than latency: no packet can come before it is sent",
    });
  });

const impairmentSpec = z
  .strictObject({
    ...choice,
    direction: z.enum(["ingress", "egress", "both"]).default("both"),
    loss: loss.optional(),
    duplicate: percent,
    corrupt: percent,
    reorder: percent,
    delay: delay.optional(),
    pace: quantity,
    seed: whole(0, 4_294_967_295).optional(),
    match: z
      .strictObject({
        peers: z.array(peer).min(1).max(64).optional(),
        ports: z.array(port).min(1).max(MAX_RULE_PORTS).optional(),
      })
      .optional(),
    exempt: z.strictObject({ probes: z.boolean().optional(), dns: z.boolean().optional() }).optional(),
    lease: between(SECOND, 24 * 3600 * SECOND, "1s to 24h").optional(),
    until: z.iso.datetime({ offset: true, error: "must be a time such as 2026-01-02T15:04:05Z" }).optional(),
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
  });

/** A bandwidth limit as an object. */
export const limit = z
  .object({ kind: z.literal("Limit"), metadata: namespaced(), spec: limitSpec })
  .transform((object): Limit => object);
/** An impairment as an object. */
export const impairment = z
  .object({ kind: z.literal("Impairment"), metadata: namespaced(), spec: impairmentSpec })
  .transform((object): Impairment => object);

const NO_ADDRESS = new Set(["None", ""]);

/** Whose pods share rules. */
export const service = z
  .object({
    kind: z.literal("Service"),
    metadata: namespaced(checkLabelName),
    spec: maybe(z.object({ selector: labels, clusterIP: maybe(z.string()), clusterIPs: listOf(z.string()) })),
  })
  .transform(({ kind, metadata, spec }): Service => {
    const written = spec?.clusterIPs.length ? spec.clusterIPs : [spec?.clusterIP ?? ""];
    return { kind, metadata, selector: spec?.selector ?? {}, clusterIPs: written.filter((ip) => !NO_ADDRESS.has(ip)) };
  });
