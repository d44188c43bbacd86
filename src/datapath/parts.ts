import type { Attacher } from "./attach.ts";
import type { Clocks } from "./leases.ts";
import type { Names } from "./names.ts";
import type { Network } from "./network.ts";
import type { PortTable } from "./ports.ts";
import type { Programs } from "./programs/own.ts";
import type { Table } from "./tables.ts";

/** What of a panel the datapath needs. */
export interface PanelParts {
  readonly names: Names;
  readonly abi: number;
  /** Rows written or removed so far. */
  readonly writes: number;
  table(name: string): Table;
  forgetPorts(ids: readonly number[]): void;
  /** Ends panels of other builds that nothing is left of. `isIdle`: whether nothing waits in Weir's devices. */
  dropOldPanels(isIdle: () => boolean): unknown;
  readonly hasOldPanels: boolean;
  /** What of the panel before could not be taken over. */
  readonly lost: readonly { object: string; message: string }[];
}

/** The kernel, or its twin in memory. */
export interface DatapathParts {
  panel: PanelParts;
  ports: PortTable;
  network: Network;
  attacher: Attacher;
  programs: Programs;
  /** Maps that functions own, by name: rows that are not wanted are removed from these alone. */
  tables: readonly string[];
  /** Maps that programs fill, by instance: rows of instances that are gone are removed. */
  state: readonly string[];
  /** Drops are also events. */
  events: boolean;
  /** Whose failures are that are no object's. */
  owner?: string | undefined;
  clocks?: Clocks | undefined;
}
