import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Row, RowFields } from "../../model/document.ts";
import {
  delays,
  type Effects,
  type ImpairRule,
  type Loss,
  lossProbability,
  MAX_RULE_PORTS,
  type PortMatch,
} from "../../model/impair.ts";
import { ipBytes, parsePrefix } from "../../model/ip.ts";
import { DELAY } from "../../model/panel.ts";

/** `enum weir_impair_flags`. */
const FLAG = { egress: 1, leased: 2, seeded: 4, peers: 8, noProbes: 16, noDns: 32, burst: 64 } as const;
const SIDE = { pod: 1, peer: 2, either: 3 } as const;
const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 } as const;
const ANY_PORT = { first: 0, last: 65_535 };
/** The instance under which the node's own addresses are stored. */
const ALL_INSTANCES = 0;
const IN_PEER_BITS = 32;
const V4_BITS = 96;

/** A probability in parts of 2^32, rounded: the error is at most 1.2 × 10^-10. */
export const parts = (probability: number): bigint =>
  BigInt(Math.round(Math.min(1, Math.max(0, probability)) * 2 ** 32));

/** The map row of one rule. */
export function ruleRow(instance: string, rule: ImpairRule, fq: boolean): Row {
  const { effects, match, seed } = rule;
  const ports = (match.ports ?? []).slice(0, MAX_RULE_PORTS).map(portFields);
  const unused = Array.from({ length: MAX_RULE_PORTS - ports.length }, () => ({}));
  const delayed = fq && delays(rule);
  return {
    table: "weir_impairs",
    key: { instance: { instance } },
    value: {
      flags: flagsOf(rule),
      device: delayed ? { device: DELAY.device } : 0,
      epoch: epochOf(rule),
      seed: seed ?? 0,
      ...lossFields(effects.loss),
      ...probabilities(effects),
      delay: BigInt(effects.delay?.base ?? 0),
      jitter: BigInt(effects.delay?.jitter ?? 0),
      pace: BigInt(effects.pace ?? 0),
      port: [...ports, ...unused],
      ports: ports.length,
    },
  };
}

function flagsOf({ direction, lease, seed, match, exempt, effects }: ImpairRule): number {
  return (
    (direction === "egress" ? FLAG.egress : 0) |
    (lease ? FLAG.leased : 0) |
    (seed === undefined ? 0 : FLAG.seeded) |
    (match.peers ? FLAG.peers : 0) |
    (exempt.probes ? FLAG.noProbes : 0) |
    (exempt.dns ? FLAG.noDns : 0) |
    (effects.loss?.model === "burst" ? FLAG.burst : 0)
  );
}

/** Changes when a rule's effect on a sequence of packets changes, which restarts the sequence. */
function epochOf({ seed, effects }: ImpairRule): number {
  return createHash("sha256")
    .update(JSON.stringify([seed, effects]))
    .digest()
    .readUInt32LE();
}

function lossFields(loss: Loss | undefined): RowFields {
  if (loss?.model !== "burst") return { loss: loss ? parts(lossProbability(loss)) : 0n };
  const { p, r, lossGood, lossBad } = loss;
  return { loss: parts(lossGood), loss_bad: parts(lossBad), to_bad: parts(p), to_good: parts(r) };
}

function probabilities({ duplicate = 0, corrupt = 0, reorder = 0 }: Effects): RowFields {
  return { duplicate: parts(duplicate), corrupt: parts(corrupt), reorder: parts(reorder) };
}

function portFields({ protocol, port, endPort, side }: PortMatch): RowFields {
  const range = port === undefined ? ANY_PORT : { first: port, last: endPort ?? port };
  return { ...range, protocol: PROTOCOL[protocol], side: SIDE[side] };
}

/** The rows of a rule's peers. */
export function peerRows(instance: string, rule: ImpairRule): Row[] {
  return (rule.match.peers ?? []).map((cidr) => peerRow(cidr, { instance }));
}

/** The rows of the node's own addresses, including its pods' gateways: kubelet's probes come from them. */
export function ownRows(addresses: readonly string[]): Row[] {
  const own = new Set(addresses);
  return [...own].map((address) => peerRow(`${address}/${isIPv4(address) ? 32 : 128}`, ALL_INSTANCES));
}

function peerRow(cidr: string, instance: { instance: string } | number): Row {
  const { family, bits, bytes } = prefixOf(cidr);
  const mapped = new Uint8Array(16);
  if (family === 4) {
    mapped.fill(0xff, V4_BITS / 8 - 2, V4_BITS / 8);
    mapped.set(bytes.subarray(0, 4), V4_BITS / 8);
  } else mapped.set(bytes);
  const prefixlen = IN_PEER_BITS + bits + (family === 4 ? V4_BITS : 0);
  return { table: "weir_impair_peers", key: { prefixlen, instance, address: mapped }, value: { present: 1 } };
}

function prefixOf(cidr: string): { family: 4 | 6; bits: number; bytes: Uint8Array } {
  const { family, address, length } = parsePrefix(cidr);
  return { family, bits: length, bytes: ipBytes(address) };
}
