/** Users' programs in the kernel: each instance with one has its own program slot and maps. */
export interface UserPrograms {
  /** Instances whose programs are loaded. */
  readonly held: string[];
  /** Loads a build's program into the instance's slot, unless it is there already. @throws if it cannot be loaded */
  load(instance: string, build: string): void;
  /** Empties the slots of these instances, to which no hop leads any more. */
  remove(instances: readonly string[]): void;
}
