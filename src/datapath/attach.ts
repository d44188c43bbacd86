import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attachDevice, openLink } from "../kernel/index.ts";
import type { Ids } from "./compile.ts";
import type { Failure } from "./failure.ts";
import type { Panel, PanelPrograms } from "./panel.ts";

/**
 * What a device has. `entry`: its packets are Weir's. `resume`: they go on at the hop in their mark. `tap`: they are
 * another network's, and seen in both directions. `host`: the same of the node's own, beside what else it has.
 */
export type Attachment = "entry" | "resume" | "tap" | "host";

interface Wanted {
  device: string;
  program: keyof PanelPrograms;
  direction: "ingress" | "egress";
}

/**
 * Attaches the panel's programs to devices, and detaches them from devices that are not listed. Links are pinned by
 * device; one of another build or ABI gets the new program in place, between two packets. `attached`: indexes of devices
 * that are known to have their program, by pin, which are left alone.
 */
export function attachAll(
  panel: Panel,
  wanted: Iterable<readonly [string, Attachment]>,
  ids: Ids,
  attached = new Map<string, number>(),
): Failure[] {
  const failures: Failure[] = [];
  const pins = join(panel.root, "links");
  const links = new Map([...wanted].flatMap(([device, kind]) => linksOf(device, kind)));
  for (const [pin, { device, program, direction }] of links) {
    const ifindex = ids.device(device);
    if (ifindex === undefined) continue; // reported where the device is made
    if (attached.get(pin) === ifindex) continue;
    attached.delete(pin);
    try {
      const place = program.startsWith("host") ? 1 : 0;
      attachDevice(panel.programs[program], ifindex, direction, { pin: join(pins, pin), place }).close();
      attached.set(pin, ifindex);
    } catch (error) {
      failures.push({ object: `device ${device}`, message: (error as Error).message });
    }
  }
  for (const pin of readdirSync(pins)) {
    if (links.has(pin)) continue;
    attached.delete(pin);
    try {
      detach(join(pins, pin));
    } catch (error) {
      failures.push({ object: `link of ${pin}`, message: (error as Error).message });
    }
  }
  return failures;
}

/** Ends all taps, so that nothing stands in the way of others' packets; the devices are theirs. */
export function detachTaps(links: string): void {
  for (const pin of readdirSync(links)) if (isTap(pin)) detach(join(links, pin));
}

/** Pin names: `%` prefixes pins of taps and host devices. In devices' names `%` and `.`, which bpffs refuses, are escaped. */
const TAP = /^%(tap|host)(in|out)-/;
const isTap = (pin: string): boolean => TAP.test(pin);
const pinName = (device: string): string => device.replace(/[%.]/g, (c) => (c === "." ? "%2e" : "%25"));

function linksOf(device: string, kind: Attachment): [string, Wanted][] {
  const pin = pinName(device);
  if (kind === "host") {
    return [
      [`%hostin-${pin}`, { device, program: "hostIngress", direction: "ingress" }],
      [`%hostout-${pin}`, { device, program: "hostEgress", direction: "egress" }],
    ];
  }
  if (kind !== "tap") return [[pin, { device, program: kind, direction: "ingress" }]];
  return [
    [`%tapin-${pin}`, { device, program: "tapIngress", direction: "ingress" }],
    [`%tapout-${pin}`, { device, program: "tapEgress", direction: "egress" }],
  ];
}

function detach(pin: string): void {
  const link = openLink(pin);
  link.detach();
  link.close();
  rmSync(pin, { force: true });
}
