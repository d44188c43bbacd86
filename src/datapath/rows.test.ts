import { expect, test } from "vitest";
import type { Ids } from "./compile.ts";
import { RowEncoder } from "./rows.ts";
import { idKey, MemoryTable, type RowCodec } from "./tables.ts";

let encoded = 0;
const codec = (field: string): RowCodec => ({
  size: 4,
  encode: (fields) => {
    encoded++;
    return idKey(Number(fields[field]));
  },
  decode: (bytes) => ({ [field]: bytes.readUInt32LE() }),
});
const table = new MemoryTable("t", codec("instance"), codec("device"));

function bench() {
  const ids = { instance: 1, device: 7 };
  const of: Ids = {
    port: () => 0,
    slot: () => 0,
    instance: () => ids.instance,
    shaper: () => 0,
    tunnel: () => 0,
    device: () => ids.device,
  };
  const encoder = new RowEncoder();
  const row = { table: "t", key: { instance: { instance: "a" } }, value: { device: { device: "eth0" } } };
  const encode = (rows: (typeof row)[]): [key: number, value: number][] => {
    encoded = 0;
    const key = (text: string) => Buffer.from(text, "base64").readUInt32LE();
    return [...encoder.encode(rows, table, of)].map(([one, value]) => [key(one), value.readUInt32LE()]);
  };
  return { ids, row, encode };
}

test("a row that was there the last time is not encoded anew", () => {
  const { row, encode } = bench();
  expect(encode([row])).toEqual([[1, 7]]);
  expect(encode([row])).toEqual([[1, 7]]);
  expect(encoded).toBe(0);
});

test("one whose device is another by now is", () => {
  const { ids, row, encode } = bench();
  encode([row]);
  ids.device = 8;
  expect(encode([row])).toEqual([[1, 8]]);
});

test("so is one that went and came back: its instance may have another id", () => {
  const { ids, row, encode } = bench();
  encode([row]);
  encode([]);
  ids.instance = 2;
  expect(encode([row])).toEqual([[2, 7]]);
});
