import type { Attacher } from "./attach.ts";
import type { Clocks } from "./leases.ts";
import type { Names } from "./names.ts";
import type { Network } from "./network.ts";
import type { PortTable } from "./ports.ts";
import type { Table } from "./tables.ts";
import type { UserPrograms } from "./user-programs.ts";

/** The parts of a panel that the datapath uses. */
export interface PanelParts {
  readonly names: Names;
  readonly abi: number;
  /** Rows written or removed so far. */
  readonly writes: number;
  table(name: string): Table;
  /** Puts back pins and programs' slots that somebody removed. */
  scrub(): void;
  forgetPorts(ids: readonly number[]): void;
  /**
   * Removes panels of other builds that are no longer in use. @param isIdle whether no packet waits in Weir's devices
   */
  dropOldPanels(isIdle: () => boolean): unknown;
  readonly hasOldPanels: boolean;
  /** State of the previous panel that could not be taken over. */
  readonly lost: readonly { object: string; message: string }[];
}

/** The kernel's parts, or their in-memory doubles. */
export interface DatapathParts {
  panel: PanelParts;
  ports: PortTable;
  network: Network;
  attacher: Attacher;
  programs: UserPrograms;
  /** Maps that functions own, by name. Only in these are unwanted rows removed. */
  tables: readonly string[];
  /** Maps that programs fill, keyed by instance. Rows of removed instances are removed. */
  state: readonly string[];
  /** Owner of failures that belong to no object. */
  owner?: string | undefined;
  clocks?: Clocks | undefined;
}
