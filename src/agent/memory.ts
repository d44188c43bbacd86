import { setFlagsFromString } from "node:v8";

/**
 * Makes V8 collect garbage rather than grow the heap. With 100 pods an agent takes 30 MB less memory, and a sixth more
 * CPU time while pods start. Call it before anything large is allocated.
 */
export function preferSmallHeap(): void {
  setFlagsFromString("--optimize-for-size");
  setFlagsFromString("--semi-space-growth-factor=1");
}
