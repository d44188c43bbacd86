import type { Sample } from "./change.ts";
import type { SceneName } from "./world.ts";

/** A result of this build, and of the other one if there is one. */
export interface Both<T> {
  own: T;
  other: T | null;
}

/** Changes of one kind by rounds. In a round each build's changes run together, in an order that changes. */
export interface StepResult {
  what: string;
  rounds: Both<Sample[]>[];
}

export interface ChangeResult {
  kind: "change";
  name: string;
  scene: SceneName;
  steps: StepResult[];
  /** Resident memory after the changes, MB. */
  residentMB: Both<number>;
}

/** Starts of an agent, alternately of each build. */
export interface SyncResult {
  kind: "sync";
  name: string;
  scene: SceneName;
  starts: Both<{ seconds: number; cpuSeconds: number; peakMB: number }[]>;
}

/** An idle agent. */
export interface RestResult {
  kind: "rest";
  name: string;
  scene: SceneName;
  seconds: number;
  /** Per cent of a core. */
  idlePercent: Both<number>;
  /** Read every second. */
  residentMB: Both<number[]>;
}

export type ScaleResult = ChangeResult | SyncResult | RestResult;
