import { expect, test } from "vitest";
import { cpuList } from "./traffic.ts";

test.each([
  ["0", [0]],
  ["0-1", [0, 1]],
  ["0-2,5,8-9", [0, 1, 2, 5, 8, 9]],
])("processors of %s", (list, cpus) => {
  expect(cpuList(`Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\n`)).toEqual(cpus);
});
