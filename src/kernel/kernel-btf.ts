import koffi from "koffi";
import { Btf } from "./btf.ts";
import { bpf, type Pointer } from "./ffi.ts";

/** Copies bytes at an address of this process. */
export function copyOf(pointer: Pointer, size: number): Buffer {
  return Buffer.from(koffi.decode(pointer, koffi.array("uint8_t", size)) as Uint8Array);
}

/** The bytes of libbpf's `struct btf`. */
export function rawBtf(btf: Pointer): Buffer | undefined {
  const size = [0];
  const data = bpf.btf__raw_data(btf, size) as Pointer | null;
  return data === null ? undefined : copyOf(data, size[0] ?? 0);
}

/** BTF that the kernel keeps for a loaded object; undefined if there is none with this id. */
export function kernelBtf(id: number): Btf | undefined {
  const btf = id === 0 ? null : (bpf.btf__load_from_kernel_by_id(id) as Pointer | null);
  if (btf === null) return undefined;
  try {
    const bytes = rawBtf(btf);
    return bytes && Btf.parse(bytes);
  } finally {
    bpf.btf__free(btf);
  }
}
