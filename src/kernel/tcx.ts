import { constants } from "node:os";
import koffi from "koffi";
import type { BpfLink, Direction } from "./bpf-link.ts";
import { check, errnoName, KernelError } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, LinkCreateOpts } from "./ffi.ts";
import { linkInfo } from "./info.ts";
import { openPinned, pinObject, wrongKind } from "./pin.ts";
import type { Program } from "./program.ts";

/** `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` of enum bpf_attach_type. */
const ATTACH_TYPE: Readonly<Record<Direction, number>> = {
  ingress: 46,
  egress: 47,
};
const LINK_TYPE_TCX = 11;
const BPF_F_BEFORE = 1 << 3;
const NO_DEVICE = 0x7fffffff;

const HINTS: Readonly<Record<string, string>> = {
  ENODEV: "no such device in this namespace",
  EEXIST: "the program is attached there already, by another link",
};

function create(programFd: number, ifindex: number, direction: Direction, first: boolean): number {
  const options = {
    sz: koffi.sizeof(LinkCreateOpts),
    flags: first ? BPF_F_BEFORE : 0,
    iter_info: null,
    iter_info_len: 0,
    target_btf_id: 0,
    perType: [0, 0, 0, 0],
  };
  return bpf.bpf_link_create(programFd, ifindex, ATTACH_TYPE[direction], options) as number;
}

/**
 * Whether the kernel has tcx (6.6). Without side effect: a kernel with tcx reports a missing device, one without an
 * invalid attach type.
 */
export function tcxSupported(program: Pick<Program, "fd">): boolean {
  return create(program.fd, NO_DEVICE, "ingress", true) === -constants.errno.ENODEV;
}

/** A tcx BPF link: the program is attached as long as a descriptor or pin of the link exists. Linux 6.6. */
export class TcxLink implements BpfLink {
  readonly kind = "tcx";
  readonly id: number;
  readonly direction: Direction;
  readonly #fd: Fd;

  /** Takes over `fd`. */
  constructor(fd: Fd) {
    const info = linkInfo(fd.number);
    this.#fd = fd;
    this.id = info.id;
    this.direction = info.attach_type === ATTACH_TYPE.egress ? "egress" : "ingress";
  }

  /** Opens a pinned link. @throws KernelError `not-pinned`, `wrong-kind` */
  static open(path: string): TcxLink {
    return TcxLink.adopt(path, openPinned(path, "link"));
  }

  /** Takes over a descriptor opened at `path`. @throws KernelError `wrong-kind` */
  static adopt(path: string, number: number): TcxLink {
    const fd = new Fd(`link ${path}`, number);
    if (linkInfo(number).type === LINK_TYPE_TCX) return new TcxLink(fd);
    fd.close();
    throw wrongKind(path, "tcx link", "link of another type");
  }

  /** The device, in its own namespace; 0 once it is gone. */
  get ifindex(): number {
    return linkInfo(this.#fd.number).ifindex;
  }

  get programId(): number {
    return linkInfo(this.#fd.number).prog_id;
  }

  pin(path: string): void {
    pinObject(this.#fd.number, path, "tcx link");
  }

  update(program: Program): void {
    const result = bpf.bpf_link_update(this.#fd.number, program.fd, null) as number;
    const hint = result === -constants.errno.ENOLINK ? "its device is gone" : undefined;
    check(result, `replace the program of a tcx link by ${program.name}`, "update-failed", hint);
  }

  detach(): void {
    const result = bpf.bpf_link_detach(this.#fd.number) as number;
    if (result !== -constants.errno.ENOLINK) check(result, "detach tcx link", "detach-failed");
  }

  close(): void {
    this.#fd.close();
  }
}

/**
 * Attaches a program by a tcx BPF link to a device of this thread's namespace, before other programs unless `first` is
 * false.
 * @throws KernelError `tcx-unsupported` (Linux 6.6), `attach-failed`
 */
export function attachTcx(
  program: Program,
  ifindex: number,
  direction: Direction,
  { first = true }: { first?: boolean } = {},
): TcxLink {
  const result = create(program.fd, ifindex, direction, first);
  if (result >= 0) return new TcxLink(new Fd(`tcx link of device ${ifindex}`, result));
  const action = `attach tcx link of ${program.name} to ${direction} of device ${ifindex}`;
  if (result === -constants.errno.EINVAL && !tcxSupported(program)) {
    throw new KernelError(action, {
      code: "tcx-unsupported",
      errno: "EINVAL",
      hint: "tcx needs Linux 6.6",
    });
  }
  const errno = errnoName(-result);
  const hint = HINTS[errno];
  throw new KernelError(action, { code: "attach-failed", errno, hint });
}
