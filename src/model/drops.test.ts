import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { dropReasons } from "./drops.ts";

test("every reason of bpf/drop.h is explained, at its value", async () => {
  const header = await readFile(new URL("../../bpf/drop.h", import.meta.url), "utf8");
  const names = [...header.matchAll(/^\tWEIR_DROP_(\w+)/gm)].map(([, name]) => name?.toLowerCase());
  expect(names.length).toBeGreaterThan(10);
  expect(dropReasons.map(({ name }) => name)).toEqual(names);
});
