import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attachDevice, openLink, type Program } from "../kernel/index.ts";
import type { PanelPrograms } from "./panel.ts";

/**
 * What a device has. `entry`: its packets are Weir's. `resume`: they go on at the hop in their mark. `tap`: they are
 * another network's, and seen in both directions. `host`: the same of the node's own, beside what else it has.
 */
export type Attachment = "entry" | "resume" | "tap" | "host";

/** A program that a device is to have. */
export interface WantedProgram {
  device: string;
  program: keyof PanelPrograms;
  direction: "ingress" | "egress";
}

/** Puts programs on devices: the kernel, or its twin in memory. Attachments are named by their pins. */
export interface Attacher {
  /** Pins that are there. */
  pins(): string[];
  /** Attaches the program, or replaces another build's between two packets. True if it was not attached already. */
  attach(pin: string, wanted: WantedProgram, ifindex: number): boolean;
  /** False if there was none. */
  detach(pin: string): boolean;
}

/** BPF links of the panel's programs, pinned below `links`. */
export class KernelAttacher implements Attacher {
  readonly #links: string;
  readonly #programs: PanelPrograms;

  constructor(links: string, programs: PanelPrograms) {
    this.#links = links;
    this.#programs = programs;
  }

  pins(): string[] {
    return readdirSync(this.#links);
  }

  attach(pin: string, { program: name, direction }: WantedProgram, ifindex: number): boolean {
    const path = join(this.#links, pin);
    const program = this.#programs[name];
    const before = linkAt(path, program, ifindex);
    const place = name.startsWith("host") ? 1 : 0;
    const link = attachDevice(program, ifindex, direction, { pin: path, place });
    link.close();
    return !before;
  }

  detach(pin: string): boolean {
    const path = join(this.#links, pin);
    const isThere = existsSync(path);
    if (isThere) detach(path);
    return isThere;
  }
}

/** Is the program attached to the device by this pin? */
function linkAt(path: string, program: Program, ifindex: number): boolean {
  try {
    const link = openLink(path);
    const isThat = link.ifindex === ifindex && link.programId === program.id;
    link.close();
    return isThat;
  } catch {
    return false; // attaching says why
  }
}

/** Ends all taps, so that nothing stands in the way of others' packets; the devices are theirs. */
export function detachTaps(links: string): void {
  for (const pin of readdirSync(links)) if (isTap(pin)) detach(join(links, pin));
}

/** Pin names: `%` prefixes tap and host pins; `%` and `.` in device names, which bpffs refuses, are escaped. */
const TAP = /^%(tap|host)(in|out)-/;
const isTap = (pin: string): boolean => TAP.test(pin);
const pinName = (device: string): string => device.replace(/[%.]/g, (c) => (c === "." ? "%2e" : "%25"));

/** The programs of an attachment by their pins. */
export function programsOf(device: string, kind: Attachment): [string, WantedProgram][] {
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
