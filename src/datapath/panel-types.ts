import type { Program } from "../kernel/index.ts";

/** State of the previous panel that could not be taken over. */
export interface Lost {
  /** `table NAME`. */
  object: string;
  message: string;
}

/** The programs that are attached to devices. */
export type PanelPrograms = Readonly<
  Record<"entry" | "resume" | "tapIngress" | "tapEgress" | "hostIngress" | "hostEgress", Program>
>;
