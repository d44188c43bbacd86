import { DELAY, RECIRC, SHAPE, SPLIT } from "../model/panel.ts";
import type { Network } from "./network.ts";

/** Whether packets wait in queues of Weir's devices. */
export function isQueueing(network: Pick<Network, "qdiscs">): boolean {
  const devices = [RECIRC, SPLIT, SHAPE, DELAY].map(({ device }) => device);
  return devices.some((device) => network.qdiscs(device).some(({ stats }) => stats.queued > 0));
}
