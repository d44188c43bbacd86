import koffi from "koffi";
import { check, errnoName, KernelError } from "./errors.ts";
import { bpf, type Pointer, SampleFn } from "./ffi.ts";
import { quietLibbpf } from "./log.ts";
import type { BpfMap } from "./map.ts";

/** Reads a BPF ring buffer (Linux 5.8). Events stay in the kernel until `poll`. */
export class RingBuffer {
  readonly #name: string;
  readonly #callback: bigint;
  #handle: Pointer | null;
  #failure: unknown;

  private constructor(name: string, fd: number, onEvent: (data: Buffer) => void) {
    this.#name = name;
    this.#callback = koffi.register((_ctx: unknown, data: Pointer, size: number | bigint) => {
      // an exception must not cross C; remaining events are still consumed
      try {
        onEvent(Buffer.from(koffi.decode(data, koffi.array("uint8_t", Number(size))) as Uint8Array));
      } catch (error) {
        this.#failure ??= error;
      }
      return 0;
    }, koffi.pointer(SampleFn));
    this.#handle = bpf.ring_buffer__new(fd, this.#callback, null, null) as Pointer | null;
    if (this.#handle !== null) return;
    const errno = errnoName(koffi.errno());
    koffi.unregister(this.#callback);
    throw new KernelError(`open ring buffer ${name}`, {
      code: "ringbuf-failed",
      errno,
    });
  }

  /** @param onEvent called from `poll` with a copy of each event */
  static open(map: BpfMap, onEvent: (data: Buffer) => void): RingBuffer {
    quietLibbpf();
    return new RingBuffer(map.name, map.fd, onEvent);
  }

  /** Consumes all queued events without blocking. Returns their number. Rethrows the first exception of `onEvent`. */
  poll(): number {
    const count = bpf.ring_buffer__consume(this.#open()) as number;
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    return check(count, `consume ring buffer ${this.#name}`, "ringbuf-failed");
  }

  /** Idempotent. */
  close(): void {
    if (this.#handle === null) return;
    bpf.ring_buffer__free(this.#handle);
    this.#handle = null;
    koffi.unregister(this.#callback);
  }

  #open(): Pointer {
    if (this.#handle !== null) return this.#handle;
    throw new KernelError(`use ring buffer ${this.#name}`, {
      code: "closed",
      hint: "it has been closed",
    });
  }
}
