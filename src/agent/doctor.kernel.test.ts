import { expect, test } from "vitest";
import { examine } from "./doctor.ts";

test("a user other than root gets that as the error, and no findings about the kernel", async () => {
  process.seteuid?.(65534);
  const examined = examine();
  process.seteuid?.(0);
  await expect(examined).rejects.toThrow("examine this machine: EPERM (the kernel answers only root: try sudo)");
});
