import { expect, test } from "vitest";
import { examine } from "./doctor.ts";

test("another user than root is told so, and nothing of the kernel", async () => {
  process.seteuid?.(65534);
  const examined = examine();
  process.seteuid?.(0);
  await expect(examined).rejects.toThrow("examine this machine: EPERM (the kernel answers only root: try sudo)");
});
