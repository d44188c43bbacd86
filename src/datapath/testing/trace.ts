import { OPS, type Op } from "../layout.ts";
import type { Panel } from "../panel.ts";

/** One step of a read-only run: what the hop did, its instance and its port. `reason` is set for a drop. */
export interface TraceStep {
  hop: number;
  op: Op;
  instance: string;
  port: string;
  reason: number;
  /** The tunnel by which the packet would leave, if it is known. */
  tunnel: string | undefined;
}
type RawStep = Record<"hop" | "op" | "instance" | "port" | "reason" | "tunnel", number>;

/** Reads the trace of the last read-only run, with names for ids. */
export function readTrace(panel: Panel): { steps: number; step: TraceStep[] } {
  const { names } = panel;
  const traces = panel.table("weir_traces");
  const row = traces.lookup(Buffer.alloc(4));
  const { steps = 0, step = [] } = row ? (traces.value.decode(row) as { steps?: number; step?: RawStep[] }) : {};
  const instances = names.all("instance");
  const ports = names.all("port");
  const tunnels = names.all("tunnel");
  const named = step.slice(0, steps).map((raw) => ({
    hop: raw.hop,
    op: OPS[raw.op] ?? "down",
    instance: instances.get(raw.instance) ?? "",
    port: ports.get(raw.port) ?? "",
    reason: raw.reason,
    tunnel: tunnels.get(raw.tunnel),
  }));
  return { steps, step: named };
}
