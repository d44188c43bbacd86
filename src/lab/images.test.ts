import { expect, it } from "vitest";
import { imageBase } from "./images.ts";

it.each([
  [[], "/"],
  [["/usr", "/etc/passwd"], "/usr"],
  [["/etc/passwd"], "/etc"],
])("relative images of %j start in %s", (sources, base) => expect(imageBase(sources)).toBe(base));
