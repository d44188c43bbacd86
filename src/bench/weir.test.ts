import { expect, test } from "vitest";
import { killStarted, start } from "./weir.ts";

test("running programs are killed; ended ones are not", async () => {
  const over = start(["true"]);
  expect((await over.ended).code).toBe(0);
  const beside = start([process.execPath, "-e", "setInterval(() => {}, 1000)"]);
  killStarted();
  expect((await beside.ended).code).toBeNull();
  expect(beside.child.signalCode).toBe("SIGKILL");
  expect(over.child.signalCode).toBeNull();
});
