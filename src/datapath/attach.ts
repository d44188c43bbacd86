import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { attachDevice, openLink } from "../kernel/index.ts";
import type { Ids } from "./compile.ts";
import type { Failure } from "./failure.ts";
import type { Panel } from "./panel.ts";

/**
 * Attaches the panel's programs to devices' ingress, and detaches them from devices that are not listed. Links are
 * pinned by device; one of another build or ABI gets the new program in place, between two packets. `attached`: indexes of
 * devices that are known to have their program, which are left alone.
 */
export function attachAll(
  panel: Panel,
  wanted: ReadonlyMap<string, "entry" | "resume">,
  ids: Ids,
  attached = new Map<string, number>(),
): Failure[] {
  const failures: Failure[] = [];
  const pins = join(panel.root, "links");
  for (const [device, kind] of wanted) {
    const ifindex = ids.device(device);
    if (ifindex === undefined) continue; // reported where the device is made
    if (attached.get(device) === ifindex) continue;
    attached.delete(device);
    try {
      const program = kind === "entry" ? panel.entry : panel.resume;
      attachDevice(program, ifindex, "ingress", { pin: join(pins, device) }).close();
      attached.set(device, ifindex);
    } catch (error) {
      failures.push({ object: `device ${device}`, message: (error as Error).message });
    }
  }
  for (const device of readdirSync(pins)) {
    if (wanted.has(device)) continue;
    attached.delete(device);
    try {
      detach(join(pins, device));
    } catch (error) {
      failures.push({ object: `link of ${device}`, message: (error as Error).message });
    }
  }
  return failures;
}

function detach(pin: string): void {
  const link = openLink(pin);
  link.detach();
  link.close();
  rmSync(pin, { force: true });
}
