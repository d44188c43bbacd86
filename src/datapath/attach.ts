import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attachDevice, openBpfLink, type Program } from "../kernel/index.ts";
import type { PanelPrograms } from "./panel-types.ts";

/**
 * The role of a device, which decides the panel's programs on it. `entry`: packets received from it enter a port of
 * Weir's network. `resume`: packets continue at the hop in their mark. `tap`: the host end of a pod in another network;
 * both directions are processed. `host`: the node's uplink for pods with `hostNetwork`; both directions, beside what
 * else is attached.
 */
export type DeviceRole = "entry" | "resume" | "tap" | "host";

/** A program to attach to a device. */
export interface WantedProgram {
  device: string;
  program: keyof PanelPrograms;
  direction: "ingress" | "egress";
}

/** Attaches programs to devices: in the kernel, or its in-memory double. An attachment is identified by its pin. */
export interface Attacher {
  /** Names of existing pins. */
  pins(): string[];
  /** Attaches the program, or atomically replaces another build's. Returns true if it was not attached before. */
  attach(pin: string, wanted: WantedProgram, ifindex: number): boolean;
  /** Returns false if there was no such attachment. */
  detach(pin: string): boolean;
}

/** Attaches the panel's programs by BPF links, pinned below the folder `links`. */
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

/** Whether this pin is a BPF link of the program to this device. */
function linkAt(path: string, program: Program, ifindex: number): boolean {
  try {
    const link = openBpfLink(path);
    const isThat = link.ifindex === ifindex && link.programId === program.id;
    link.close();
    return isThat;
  } catch {
    return false; // attaching reports the error
  }
}

/** Detaches the programs of all taps, so that other networks' packets pass unchanged. The devices stay. */
export function detachTaps(links: string): void {
  for (const pin of readdirSync(links)) if (isTap(pin)) detach(join(links, pin));
}

/**
 * Pin names. `%tap` and `%host` prefix tap and host pins; `%` and `.` in device names are escaped, since bpffs refuses
 * dots.
 */
const TAP = /^%(tap|host)(in|out)-/;
const isTap = (pin: string): boolean => TAP.test(pin);
const pinName = (device: string): string => device.replace(/[%.]/g, (c) => (c === "." ? "%2e" : "%25"));

/** The programs for a device's role, by pin name. */
export function programsOf(device: string, kind: DeviceRole): [string, WantedProgram][] {
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
  const link = openBpfLink(pin);
  link.detach();
  link.close();
  rmSync(pin, { force: true });
}
