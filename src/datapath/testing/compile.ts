import { type Instance, type Port, portName } from "../../model/document.ts";
import { compilePort, type PortRows, slotName } from "../compile.ts";
import type { Fault } from "../fault.ts";

/** The ids that compiling needs. `device` gives an ifindex, undefined while the device does not exist. */
export interface Ids {
  port(name: string): number;
  instance(name: string): number;
  slot(functionName: string): number;
  device(name: string): number | undefined;
  /** Whether the device's peer has a native XDP program; false if left out. */
  isSeenByXdp?(device: string): boolean;
}

/** Instances and ports of a document. */
export interface Topology {
  instances: readonly Instance[];
  ports: readonly Port[];
}

/** Compiles every port of a topology. Returns rows or the fault, by full name. */
export function compile(topology: Topology, ids: Ids): Map<string, PortRows | Fault> {
  const slots = new Map(topology.instances.map((instance) => [instance.name, slotName(instance)]));
  const names = new Set(topology.ports.map(portName));
  const scope = {
    port: ids.port,
    instance: (name: string) => {
      const slot = slots.get(name);
      return slot === undefined ? undefined : { id: ids.instance(name), slot: ids.slot(slot) };
    },
    hasPort: (name: string) => names.has(name),
    device: ids.device,
    isSeenByXdp: (device: string) => ids.isSeenByXdp?.(device) ?? false,
  };
  return new Map(
    topology.ports.map((port): [string, PortRows | Fault] => {
      try {
        return [portName(port), compilePort(port, scope)];
      } catch (error) {
        return [portName(port), error as Fault];
      }
    }),
  );
}

/** Like `compile`, but throws if a port has no rows. */
export function compileAll(topology: Topology, ids: Ids): Map<string, PortRows> {
  return new Map(
    [...compile(topology, ids)].map(([name, rows]) => {
      if (rows instanceof Error) throw rows;
      return [name, rows];
    }),
  );
}
