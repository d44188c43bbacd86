import { describe, expect, test } from "vitest";
import type { Row, RowFields } from "../../model/document.ts";
import type { Effects, ImpairRule } from "../../model/impair.ts";
import { impairInstance, impairItems } from "./impair.ts";

const AT = { key: "ns/a", id: "weir-a", port: "router:weir-a" };
const LOSS: Effects = { loss: { model: "uniform", probability: 0.5 } };
const rule = (more: Partial<ImpairRule> = {}): ImpairRule => ({
  id: "loss",
  direction: "egress",
  source: "loss",
  configured: "",
  effects: LOSS,
  match: {},
  exempt: { probes: true, dns: true },
  ...more,
});
const items = (one: ImpairRule, fq = false) => impairItems(AT, one, 0, fq);
const rows = (one: ImpairRule, table: string, fq = false): Row[] =>
  [...(items(one, fq).rows?.() ?? [])].filter((row) => row.table === table);
const value = (one: ImpairRule, fq = false): RowFields => rows(one, "weir_impairs", fq)[0]?.value ?? {};

describe("items", () => {
  test.each([
    ["egress", "ingress"],
    ["ingress", "egress"],
  ] as const)("an impairment of the pod's %s sits in its port's %s chain", (direction, chain) => {
    const { attach } = items(rule({ direction }));
    const instance = impairInstance("weir-a", direction, "loss");
    expect(attach).toMatchObject([{ port: "router:weir-a", direction: chain, instance }]);
    expect(attach?.[0]?.order).toBeGreaterThanOrEqual(75);
    expect(attach?.[0]?.order).toBeLessThan(100);
  });

  test("an instance is named after its rule's id, within the limit of a name", () => {
    const name = impairInstance("weir0123456789a", "ingress", "Impairment/ns/a-very-long-name-of-an-object");
    expect(name).toMatch(/^impair:weir0123456789a:ingress:[0-9a-f]{8}$/);
    expect(`instance:${name}`.length).toBeLessThan(56);
    expect(name).not.toBe(impairInstance("weir0123456789a", "ingress", "Impairment/ns/another"));
  });

  test.each([
    [{ model: "uniform", probability: 1 }, { loss: 2n ** 32n }],
    [{ model: "uniform", probability: 1e-5 }, { loss: 42_950n }],
    [{ model: "exponential", threshold: 200 }, { loss: BigInt(Math.round(Math.exp(-1) * 2 ** 32)) }],
    [
      { model: "burst", p: 0.25, r: 0.5, lossGood: 0, lossBad: 1 },
      { loss: 0n, loss_bad: 2n ** 32n, to_bad: 2n ** 30n, to_good: 2n ** 31n },
    ],
  ] as const)("%j", (loss, fields) => {
    expect(value(rule({ effects: { loss } }))).toMatchObject(fields);
  });

  test("peers are rows, for IPv4 and IPv6", () => {
    const keys = rows(rule({ match: { peers: ["10.0.0.0/8", "2001:db8::/32"] } }), "weir_impair_peers");
    expect(keys.map(({ key }) => [key["prefixlen"], typeof key["instance"]])).toEqual([
      [32 + 96 + 8, "object"],
      [32 + 32, "object"],
    ]);
  });

  test("a delay without fq has no device, and loss is still in force", () => {
    const delayed = rule({ effects: { ...LOSS, delay: { base: 50e6, jitter: 0 } } });
    expect(value(delayed, true)).toMatchObject({ device: { device: "weir_delay0" }, delay: 50_000_000n });
    expect(value(delayed)).toMatchObject({ device: 0, loss: 2n ** 31n });
  });

  test("a change of seed or effects restarts the sequence, a change of the match does not", () => {
    const epoch = (more: Partial<ImpairRule>) => value(rule({ seed: 1, ...more }))["epoch"];
    expect(epoch({})).toBe(epoch({ match: { peers: ["10.0.0.0/8"] } }));
    expect(epoch({})).not.toBe(epoch({ seed: 2 }));
    expect(epoch({})).not.toBe(epoch({ effects: { duplicate: 0.1 } }));
  });

  test("a rule's lease belongs to its instance", () => {
    const { leases } = items(rule({ lease: { seconds: 30, until: 5 } }));
    expect(leases).toEqual([{ instance: impairInstance("weir-a", "egress", "loss"), seconds: 30, until: 5 }]);
    expect(Number(value(rule({ lease: { seconds: 30 } }))["flags"]) & 2).toBe(2);
    expect(Number(value(rule())["flags"]) & 2).toBe(0);
  });
});
