import { libc } from "./ffi.ts";

/** Returns the C library's unused pages to the kernel. */
export function trimHeap(): void {
  libc.malloc_trim(0);
}
