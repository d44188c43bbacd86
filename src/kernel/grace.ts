import koffi from "koffi";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { bpf, lazy, MapCreateOpts } from "./ffi.ts";

const ARRAY = 2;
const ARRAY_OF_MAPS = 12;

interface Maps {
  outer: Fd;
  inner: Fd;
}

function createMap(name: string, type: number, inner: number): Fd {
  const options = { sz: koffi.sizeof(MapCreateOpts), ids: [0, 0, 0, 0], inner_map_fd: inner, rest: [0, 0, 0, 0, 0] };
  const created = bpf.bpf_map_create(type, name, 4, 4, 1, inner === 0 ? null : options) as number;
  return new Fd(`map ${name}`, check(created, `create map ${name}`, "create-failed"));
}

/** Two maps of this process that no program uses. */
const maps = lazy((): Maps => {
  const inner = createMap("weir_grace_in", ARRAY, 0);
  return { inner, outer: createMap("weir_grace", ARRAY_OF_MAPS, inner.number) };
});

/**
 * Waits until every program run that began before this call has ended; takes some milliseconds. The kernel waits for
 * that when a map of maps is updated. (membarrier would work too, but not with `nohz_full`.)
 */
export function waitForPrograms(): void {
  const { outer, inner } = maps();
  const key = Buffer.alloc(4);
  const value = Buffer.alloc(4);
  value.writeUInt32LE(inner.number);
  check(bpf.bpf_map_update_elem(outer.number, key, value, 0) as number, "wait for running programs", "grace-failed");
}
