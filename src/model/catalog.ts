import type { Direction } from "./directions.ts";
import type { MacroDeclaration } from "./program-rules.ts";

/** A program that the administrator lists. */
export interface CatalogProgram {
  name: string;
  /** File name in the administrator's folder. */
  file: string;
  /** Description for readers of the list. */
  description: string | undefined;
  directions: readonly Direction[];
  macros: readonly MacroDeclaration[];
}

/** The administrator's list. `reason`: why it is unusable; then no rule for a program is in force. */
export interface Catalog {
  programs: ReadonlyMap<string, CatalogProgram>;
  /** Reasons why entries are refused, by program name, or by position if the name is invalid. */
  refused: ReadonlyMap<string, string>;
  reason: string | undefined;
}

export const NO_CATALOG: Catalog = {
  programs: new Map(),
  refused: new Map(),
  reason: "this node has no folder of programs (an administrator sets programs in the agent's configuration)",
};
