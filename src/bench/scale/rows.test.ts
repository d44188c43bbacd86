import { expect, test } from "vitest";
import { changedMaps, RowWatch } from "./rows.ts";

const mapOf = (rows: [string, string][]) => ({
  entries: (): [Buffer, Buffer][] => rows.map(([key, value]) => [Buffer.from(key), Buffer.from(value)]),
  close: () => {},
});

test("maps that a change writes are distinguished from unchanged ones", () => {
  const limits: [string, string][] = [["pod-1", "10M"]];
  const watch = new RowWatch([
    { name: "limits", map: mapOf(limits) },
    { name: "hosts", map: mapOf([["a", "b"]]) },
  ]);
  const before = watch.digests();
  const together = watch.digest(new Set(["hosts"]));
  limits[0] = ["pod-1", "20M"];
  expect(changedMaps(before, watch.digests())).toEqual(new Set(["limits"]));
  expect(watch.digest(new Set(["hosts"]))).toBe(together);
  expect(changedMaps(watch.digests(), watch.digests())).toEqual(new Set());
});
