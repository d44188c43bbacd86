import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { trimHeap } from "../kernel/index.ts";

/** An agent is at rest this long after its last pass, ms: once it has started, and later, when it may do as well without. */
const QUIET = { first: 2000, later: 60_000 };

/** Memory is given back if so much more is in use than when that was last done. */
const GROWTH = 1.1;

export interface TidyParts {
  /** Resident bytes. */
  resident(): number;
  /** Gives back what is not in use. */
  tidy(): void;
}

/**
 * Gives memory back once an agent has come to rest: after its start, and after work that made it grow. V8 collects when it
 * allocates, so at rest garbage stays for ever, and so do the pages that the C library keeps. It takes 50 to 100 ms, which no
 * change is to wait for.
 */
export class Tidying {
  readonly #parts: TidyParts;
  #timer: NodeJS.Timeout | undefined;
  /** Resident bytes after it was last done. */
  #least = 0;

  constructor(parts: TidyParts = { resident: () => process.memoryUsage.rss(), tidy: tidyProcess }) {
    this.#parts = parts;
  }

  /** Something was done: rest begins again. */
  worked(): void {
    clearTimeout(this.#timer);
    const quiet = this.#least === 0 ? QUIET.first : QUIET.later;
    this.#timer = setTimeout(() => this.#rest(), quiet).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #rest(): void {
    if (this.#parts.resident() >= this.#least * GROWTH) this.tidy();
  }

  /** Does it now. */
  tidy(): void {
    this.#parts.tidy();
    this.#least = this.#parts.resident();
  }
}

/** Collects all garbage and gives the pages back. */
function tidyProcess(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: object) => void;
  setFlagsFromString("--no-expose-gc");
  collect({ type: "major" });
  trimHeap();
}
