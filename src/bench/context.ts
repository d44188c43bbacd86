/** What a measurement runs with. */
export interface BenchContext {
  /** The command under test with its first arguments. */
  weir: readonly string[];
  /** Folder of the results. */
  out: string;
  /** Short runs that show that all works; the figures mean little. */
  quick: boolean;
  /** Length of one run where a measurement has runs of one length, seconds. */
  seconds?: number | undefined;
  /** Packets of one case where they are counted. */
  packets?: number | undefined;
  /** Pods of a measurement that can have more or fewer. */
  pods?: number | undefined;
  /** Of a measurement with named cases: so many of them, by a seeded choice. */
  sample?: number | undefined;
  /** Of a measurement with named cases: those whose names hold all of these words. */
  only?: readonly string[] | undefined;
  /** Another build's command, of a measurement that compares two. */
  against?: string | undefined;
  /** Changes of each kind where they are measured one by one. */
  changes?: number | undefined;
  /** Of a measurement of the agent's CPU: tell where it is spent. */
  profile?: boolean | undefined;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
  /** Results. */
  write(text: string): unknown;
  /** Progress, one line. */
  say(line: string): void;
}
