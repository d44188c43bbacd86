import { constants } from "node:os";
import koffi from "koffi";
import type { BpfLink, Direction } from "./bpf-link.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, TcHook, TcOpts } from "./ffi.ts";
import { withLibbpfLog } from "./log.ts";
import { BpfMap } from "./map.ts";
import { pinObject, wrongKind } from "./pin.ts";
import type { Program } from "./program.ts";

const POINT: Readonly<Record<Direction, number>> = { ingress: 1, egress: 2 };
const REPLACE = 1;
/**
 * Identifies Weir's filters on a device: the highest priority, and handles that no other tool reaches by counting, one
 * per place.
 */
const PRIORITY = 1;
const HANDLE = 0x77656972;

const hook = (ifindex: number, direction: Direction) => ({
  sz: koffi.sizeof(TcHook),
  ifindex,
  attach_point: POINT[direction],
  parent: 0,
});
const options = (place: number, fields: { prog_fd?: number; flags?: number } = {}) => ({
  sz: koffi.sizeof(TcOpts),
  prog_fd: 0,
  flags: 0,
  prog_id: 0,
  handle: HANDLE + place,
  priority: PRIORITY,
  ...fields,
});

/** The pin of a filter is a map with this name and one row with the filter's device, direction and place. */
const NOTE = "weir_clsact";
const NOTE_SIZE = 8;
const ARRAY = 2;
const ROW = Buffer.alloc(4);

/**
 * A filter of the clsact qdisc, for kernels without tcx. It is not a BPF link: the device holds it, so it needs no pin
 * to outlive this process, and is found by its fixed handle. Its pin only records device and direction.
 */
export class ClsactLink implements BpfLink {
  readonly kind = "clsact";
  readonly ifindex: number;
  readonly direction: Direction;

  readonly place: number;

  constructor(ifindex: number, direction: Direction, place = 0) {
    this.ifindex = ifindex;
    this.direction = direction;
    this.place = place;
  }

  /** Id of the attached program, or 0. */
  get programId(): number {
    const found = options(this.place);
    const { result } = withLibbpfLog(() => bpf.bpf_tc_query(hook(this.ifindex, this.direction), found) as number);
    if (isGone(result)) return 0;
    check(result, `read the filter of device ${this.ifindex}`, "info-failed");
    return found.prog_id;
  }

  /** Takes over a map opened at `path`. @throws KernelError `wrong-kind` */
  static adopt(path: string, map: BpfMap): ClsactLink {
    const note = map.name === NOTE && map.valueSize === NOTE_SIZE ? map.lookup(ROW) : undefined;
    map.close();
    if (!note) throw wrongKind(path, "link", "map");
    const direction = note.readUInt16LE(4) === POINT.egress ? "egress" : "ingress";
    return new ClsactLink(note.readUInt32LE(0), direction, note.readUInt16LE(6));
  }

  /** Records at `path` where the filter is. */
  pin(path: string): void {
    const created = bpf.bpf_map_create(ARRAY, NOTE, ROW.length, NOTE_SIZE, 1, null) as number;
    const fd = new Fd("note of a filter", check(created, `pin filter at ${path}`, "pin-failed"));
    try {
      const note = Buffer.alloc(NOTE_SIZE);
      note.writeUInt32LE(this.ifindex, 0);
      note.writeUInt16LE(POINT[this.direction], 4);
      note.writeUInt16LE(this.place, 6);
      new BpfMap(fd).update(ROW, note);
      pinObject(fd.number, path, "filter");
    } finally {
      fd.close();
    }
  }

  update(program: Program): void {
    attachClsact(program, this.ifindex, this.direction, this.place);
  }

  detach(): void {
    const { result } = withLibbpfLog(
      () => bpf.bpf_tc_detach(hook(this.ifindex, this.direction), options(this.place)) as number,
    );
    if (!isGone(result)) check(result, `detach filter from device ${this.ifindex}`, "detach-failed");
  }

  close(): void {}
}

/** The filter, the clsact qdisc or the device does not exist. */
function isGone(result: number): boolean {
  const { ENOENT, EINVAL, ENODEV } = constants.errno;
  return result === -ENOENT || result === -EINVAL || result === -ENODEV;
}

/**
 * Attaches a program as a filter to a device of this thread's namespace. Atomically replaces Weir's filter with the
 * same place.
 */
export function attachClsact(program: Program, ifindex: number, direction: Direction, place = 0): ClsactLink {
  const action = `attach filter ${program.name} to ${direction} of device ${ifindex}`;
  const { result: made } = withLibbpfLog(() => bpf.bpf_tc_hook_create(hook(ifindex, direction)) as number);
  const gone = made === -constants.errno.ENODEV || made === -constants.errno.EINVAL;
  const hint = gone ? "no such device in this namespace" : undefined;
  if (made !== -constants.errno.EEXIST) check(made, action, "attach-failed", hint);
  const wanted = options(place, { prog_fd: program.fd, flags: REPLACE });
  const { result } = withLibbpfLog(() => bpf.bpf_tc_attach(hook(ifindex, direction), wanted) as number);
  check(result, action, "attach-failed");
  return new ClsactLink(ifindex, direction, place);
}
