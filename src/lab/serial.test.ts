import { expect, it } from "vitest";
import { serial } from "./serial.ts";

it("runs tasks one after the other, also after one that fails", async () => {
  const order: string[] = [];
  const run = serial();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first = run(async () => {
    order.push("first begins");
    await gate;
    order.push("first ends");
    throw new Error("broken");
  });
  const second = run(() => order.push("second"));
  open();
  await expect(first).rejects.toThrow("broken");
  await second;
  expect(order).toEqual(["first begins", "first ends", "second"]);
});
