import koffi, { type KoffiFunc } from "koffi";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, TestRunOpts } from "./ffi.ts";
import { programInfo } from "./info.ts";
import { openPinned, pinObject } from "./pin.ts";
import { contextSize, readContext, type SkbCtx, writeContext } from "./skb.ts";

/** Input of `testRun`. */
export interface TestRun {
  /** The frame from its Ethernet header; 14 bytes to about a page. */
  data: Buffer;
  ctx?: Partial<SkbCtx>;
  /** Number of runs, each on the packet as the last one left it. */
  repeat?: number;
  /** Buffer for the packet after the run; default: the frame plus 512 bytes. */
  dataOutSize?: number;
}
export interface TestRunResult {
  /** The program's return value, signed: −1 is TCX_NEXT. */
  retval: number;
  data: Buffer;
  ctx: SkbCtx;
  /** Mean duration of a run. */
  durationNs: number;
}

/** A loaded program. */
export class Program {
  readonly name: string;
  readonly id: number;
  readonly #fd: Fd;

  /** Takes over `fd`. Programs use `BpfObject.program` and `Program.open`. */
  constructor(fd: Fd, name?: string) {
    const info = programInfo(fd.number);
    this.#fd = fd;
    this.id = info.id;
    this.name = name ?? info.name;
  }

  /** Opens a pinned program. @throws KernelError `not-pinned` */
  static open(path: string): Program {
    return new Program(new Fd(`program ${path}`, openPinned(path, "program")));
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Pins the program on a bpffs, so that it outlives this process. */
  pin(path: string): void {
    pinObject(this.fd, path, `program ${this.name}`);
  }

  /**
   * Runs the program on a packet (BPF_PROG_TEST_RUN). It writes live maps and really sends clones; the target of a
   * redirect is not returned. @throws KernelError `test-run-failed`
   */
  testRun(run: TestRun): TestRunResult {
    const call = prepare(run);
    return this.#result(call, bpf.bpf_prog_test_run_opts(this.fd, call.options) as number);
  }

  /** Like `testRun`, in another thread, concurrently with other runs. */
  testRunBeside(run: TestRun): Promise<TestRunResult> {
    const call = prepare(run);
    const start = bpf.bpf_prog_test_run_opts as unknown as KoffiFunc<(fd: number, options: object) => number>;
    return new Promise((resolve, reject) => {
      start.async(this.fd, call.options, (error: unknown, result: number) => {
        try {
          if (error) throw error;
          resolve(this.#result(call, result));
        } catch (cause) {
          reject(cause);
        }
      });
    });
  }

  #result({ options, dataOut, ctxOut }: Call, result: number): TestRunResult {
    const hint = "a frame of 14 bytes to a page, a device of this namespace, or wireLen below the frame's length";
    check(result, `test-run program ${this.name}`, "test-run-failed", result === -22 ? hint : undefined);
    return {
      retval: options.retval | 0,
      data: dataOut.subarray(0, options.data_size_out),
      ctx: readContext(ctxOut),
      durationNs: options.duration,
    };
  }

  /** Idempotent. A program of an object is closed with its object. */
  close(): void {
    this.#fd.close();
  }
}

type Call = ReturnType<typeof prepare>;

/** Builds the system call's arguments and output buffers. The call replaces pointers in `options`. */
function prepare({ data, ctx = {}, repeat = 1, dataOutSize = data.length + 512 }: TestRun) {
  const size = contextSize();
  const dataOut = Buffer.alloc(dataOutSize);
  const ctxOut = Buffer.alloc(size);
  const options = {
    sz: koffi.sizeof(TestRunOpts),
    data_in: data,
    data_out: dataOut,
    data_size_in: data.length,
    data_size_out: dataOut.length,
    ctx_in: writeContext(ctx),
    ctx_out: ctxOut,
    ctx_size_in: size,
    ctx_size_out: size,
    retval: 0,
    repeat,
    duration: 0,
    flags: 0,
    cpu: 0,
    batch_size: 0,
  };
  const inputs = { data, ctx: options.ctx_in }; // referenced until the call returns
  return { options, dataOut, ctxOut, inputs };
}
