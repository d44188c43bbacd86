import { libc } from "./ffi.ts";

/** Gives the system the pages that the C library keeps and nobody uses. */
export function trimHeap(): void {
  libc.malloc_trim(0);
}
