/** Settings and environment of a measurement. */
export interface BenchContext {
  /** The command under test with its first arguments. */
  weir: readonly string[];
  /** Folder of the results. */
  out: string;
  /** Short runs that only show that the measurement works; their figures are not reliable. */
  quick: boolean;
  /** Length of one run, seconds, for measurements whose runs have equal length. */
  seconds?: number | undefined;
  /** Packets of one case, for measurements that count packets. */
  packets?: number | undefined;
  /** Number of pods, for measurements where it can be set. */
  pods?: number | undefined;
  /** For measurements with named cases: the number of cases to run, chosen by a seed. */
  sample?: number | undefined;
  /** For measurements with named cases: runs those whose names contain all of these words. */
  only?: readonly string[] | undefined;
  /** Another build's command, for measurements that compare two builds. */
  against?: string | undefined;
  /** Number of changes of each kind, for measurements of single changes. */
  changes?: number | undefined;
  /** For measurements of the agent's CPU: also profile it. */
  profile?: boolean | undefined;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
  /** Results. */
  write(text: string): unknown;
  /** Progress, one line. */
  say(line: string): void;
}
