import { qdiscs } from "../kernel/index.ts";
import { DELAY, RECIRC, SHAPE, SPLIT } from "../model/panel.ts";

/** Whether packets wait in the panel's own devices. `ifindex`: of a device, undefined while it does not exist. */
export function isQueueing(ifindex: (device: string) => number | undefined): boolean {
  const own = new Set([RECIRC, SPLIT, SHAPE, DELAY].map(({ device }) => ifindex(device)));
  return qdiscs().some((qdisc) => own.has(qdisc.ifindex) && qdisc.stats.queued > 0);
}
