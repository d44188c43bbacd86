import { join } from "node:path";
import { type DeviceRole, KernelAttacher } from "../attach.ts";
import { Attachments } from "../attachments.ts";
import { Outcomes } from "../outcomes.ts";
import type { Panel } from "../panel.ts";

/** Attaches the panel's programs to these devices and to no others. Throws if one fails. */
export function attachPrograms(
  panel: Panel,
  wanted: Iterable<readonly [device: string, DeviceRole]>,
  ifindexOf: (device: string) => number | undefined,
): void {
  const outcomes = new Outcomes();
  const attachments = new Attachments(new KernelAttacher(join(panel.root, "links"), panel.programs), outcomes, () => 0);
  attachments.ask("test", "Test", [...wanted]);
  attachments.ensure(ifindexOf, true);
  if (outcomes.size > 0) throw new Error(JSON.stringify(outcomes.all()));
}
