import { check, KernelError } from "./errors.ts";
import { libc } from "./ffi.ts";

/** A file descriptor with an owner. One that was closed says so instead of hitting whoever got its number next. */
export class Fd {
  readonly #what: string;
  #number: number;

  constructor(what: string, number: number) {
    this.#what = what;
    this.#number = number;
  }

  get number(): number {
    if (this.#number < 0)
      throw new KernelError(`use ${this.#what}`, {
        code: "closed",
        hint: "it has been closed",
      });
    return this.#number;
  }

  get isClosed(): boolean {
    return this.#number < 0;
  }

  /** Gives the number up without closing it: its owner did. */
  forget(): void {
    this.#number = -1;
  }

  close(): void {
    if (this.#number >= 0) check(libc.close(this.#number) as number, `close ${this.#what}`, "close-failed");
    this.#number = -1;
  }
}
