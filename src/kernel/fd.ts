import { check, KernelError } from "./errors.ts";
import { libc } from "./ffi.ts";

/** A file descriptor with an owner. Using it after `close` throws, rather than using a reused number. */
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

  /** Marks it as closed, because another owner has closed the number. */
  forget(): void {
    this.#number = -1;
  }

  close(): void {
    if (this.#number >= 0) check(libc.close(this.#number) as number, `close ${this.#what}`, "close-failed");
    this.#number = -1;
  }
}
