import { DEFAULT_RULE_SETTINGS } from "../../model/limits.ts";
import type { Random } from "../../model/testing/random.ts";
import { NODE } from "../cluster.ts";
import { readRules } from "../readings.ts";
import type { RandomChange, RandomPass } from "./change.ts";
import { Dice, objectChanges } from "./objects.ts";
import * as values from "./values.ts";

const BUILD = "0123456789ab";

type Make = (dice: Dice, key: string, namespace: string, name: string) => RandomChange;
const some = <T>(dice: Dice, outOf: number, value: () => T): { value?: T } =>
  dice.random(outOf) === 0 ? {} : { value: value() };

const attachment: Make = (dice, key, namespace, name) => ({
  of: "attachment",
  key,
  ...some(dice, 3, () => ({
    ...{ namespace, name, uid: dice.uid(), netns: `/run/netns/${name}`, ifname: dice.pick(["eth0", "net1"]) },
    ...{ device: `weir${namespace}${name}`, mac: "02:00:00:00:00:01", ips: dice.podAddresses() },
  })),
});

const tap: Make = (dice, key, namespace, name) => ({
  of: "tap",
  key,
  ...some(dice, 2, () => ({ namespace, name, device: `veth${dice.pick([name, "x"])}`, ips: ["10.1.0.9"] })),
});

const host: Make = (dice, key, namespace, name) => ({
  of: "host pod",
  key,
  ...some(dice, 2, () => ({
    ...{ namespace, name, id: `host${namespace}${name}`, device: "eth0", mtu: dice.pick([1500, 9000]) },
    ...{ cgroup: BigInt(7 + dice.random(2)), ips: ["192.168.0.1"] },
  })),
});

const build: Make = (dice, key) => ({
  of: "build",
  key,
  ...some(dice, 3, () =>
    dice
      .pick([["ingress"], ["egress"], ["ingress", "egress"]] as const)
      .map((direction) => ({ direction, build: dice.pick([BUILD, "ba9876543210"]) })),
  ),
});

const node: Make = (dice) => ({ of: "node", key: NODE, value: { ...values.OWN_NODE, ...dice.pick(values.NODES) } });

const restart: Make = (dice) => ({ of: "restart", key: "agent", value: dice.pick(values.SETTINGS) });

/** Of pods and Services that may be there, with whose rules ever, or not there at all. */
const lastGood: Make = (dice, pod, namespace, name) => {
  const kind = dice.pick(["Pod", "Service"] as const);
  const key = kind === "Pod" ? pod : `Service/${pod}`;
  const [labels, annotations] = [dice.pick(values.LABELS), dice.pick(values.ANNOTATIONS)];
  const metadata = { namespace, name, uid: dice.uid(), labels, annotations };
  const { remembered } = readRules(undefined, kind, metadata, DEFAULT_RULE_SETTINGS).reading;
  return { of: "last good", key, ...(remembered && { value: remembered }) };
};

/** A random change among few objects with few values, so that changes meet. Two if they belong into one pass. */
function randomChanges(dice: Dice, now: number): RandomChange[] {
  const [namespace, name] = [dice.namespace(), dice.name()];
  const make = (one: Make): RandomChange[] => [one(dice, `${namespace}/${name}`, namespace, name)];
  const which = dice.random(100);
  if (which < 60) return objectChanges(dice, now);
  if (which < 75) return make(attachment);
  if (which < 82) return make(tap);
  if (which < 88) return make(host);
  if (which < 94) return make(build);
  if (which < 97) return make(node);
  if (which < 99) return [{ of: "dry run", key: "agent", value: [1, 2, 3].flatMap(() => objectChanges(dice, now)) }];
  // rare, since what is planned change by change begins anew
  return dice.once(4) ? make(dice.once(3) ? restart : lastGood) : [];
}

/** How many changes a pass has: mostly one, sometimes a storm. */
function sizeOf(dice: Dice): number {
  const which = dice.random(100);
  if (which < 60) return 1;
  if (which < 90) return 1 + dice.random(4);
  return which < 99 ? 5 + dice.random(30) : 200;
}

/** Passes with so many changes together, the same for the same random numbers. Nothing of one depends on planning. */
export function* randomPasses(random: Random, changes: number): Generator<RandomPass> {
  const dice = new Dice(random);
  let now = Date.UTC(2026, 0, 1);
  for (let made = 0; made < changes; ) {
    now += dice.pick([0, 1, 500, 2000, 30_000, -20_000]); // a clock may be set back
    const size = Math.min(sizeOf(dice), changes - made);
    const batch: RandomChange[] = [];
    while (batch.length < size) batch.push(...randomChanges(dice, now));
    batch.length = size;
    made += size;
    yield { now, changes: batch };
  }
}
