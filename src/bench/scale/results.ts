import type { Sample } from "./change.ts";
import type { SceneName } from "./world.ts";

/** What one build came to, and the other one beside it if there is one. */
export interface Both<T> {
  own: T;
  other: T | null;
}

/** Changes of one kind, round by round: each build's in one go, in an order that changes. */
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

/** Starts of an agent, of each build by turns. */
export interface SyncResult {
  kind: "sync";
  name: string;
  scene: SceneName;
  starts: Both<{ seconds: number; cpuSeconds: number; peakMB: number }[]>;
}

/** An agent to which nothing happens. */
export interface RestResult {
  kind: "rest";
  name: string;
  scene: SceneName;
  seconds: number;
  /** Per cent of a core. */
  idlePercent: Both<number>;
  /** Every second. */
  residentMB: Both<number[]>;
}

export type ScaleResult = ChangeResult | SyncResult | RestResult;
