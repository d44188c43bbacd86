import * as z from "zod";
import { parseAddress } from "../../model/addresses.ts";
import { checkLabelName } from "../../model/names.ts";
import type { EndpointSlice, Service } from "../../model/objects.ts";
import { labels, listOf, maybe, namespaced } from "./fields.ts";

const NO_ADDRESS = new Set(["None", ""]);

/** A Service: the pods that it selects share its rules. */
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

/** The API server's limit. */
const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;

/** The endpoints of a Service. */
export const endpointSlice = z
  .object({
    kind: z.literal("EndpointSlice"),
    metadata: namespaced(),
    addressType: z.enum(["IPv4", "IPv6", "FQDN"]),
    endpoints: z
      .array(z.object({ addresses: z.array(z.string().max(253)).min(1).max(MAX_ADDRESSES) }))
      .max(MAX_ENDPOINTS)
      .nullish(),
  })
  .transform(({ kind, metadata, addressType, endpoints }, context): EndpointSlice => {
    const addresses: string[] = [];
    if (addressType === "FQDN") return { kind, metadata, addressType, addresses };
    for (const [index, endpoint] of (endpoints ?? []).entries()) {
      for (const [position, text] of endpoint.addresses.entries()) {
        const parsed = parseAddress(text);
        const path = ["endpoints", index, "addresses", position];
        if (!parsed.ok) context.addIssue({ code: "custom", path, message: parsed.reason });
        else if (`IPv${parsed.value.family}` !== addressType)
          context.addIssue({ code: "custom", path, message: `is no ${addressType} address` });
        else addresses.push(parsed.value.text);
      }
    }
    return { kind, metadata, addressType, addresses };
  });
