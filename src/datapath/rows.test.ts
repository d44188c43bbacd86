import { expect, describe as group, test } from "vitest";
import type { Row } from "../model/document.ts";
import { Names } from "./names.ts";
import { encodeKey, encodeRow, type RowScope } from "./rows.ts";
import { unpacked } from "./tables.ts";
import { memoryTable } from "./testing/memory.ts";

const table = memoryTable("t");
function bench() {
  const names = new Names({ table: memoryTable("weir_names") });
  const devices: Record<string, number> = { eth0: 7 };
  const scope: RowScope = { names, has: (_, name) => name !== "nobody", ifindex: (name) => devices[name] };
  return { names, devices, scope };
}
const row = (key: Row["key"], value: Row["value"] = {}): Row => ({ table: "t", key, value });

group("a row as bytes", () => {
  test("names at any depth are replaced by ids; the ids are held and devices are listed", () => {
    const { names, scope } = bench();
    const value: Row["value"] = {
      list: [{ port: "r:a" }, 5, { fields: { instance: "l" } }],
      device: { device: "eth0" },
      none: { device: "no" },
    };
    const { key, value: bytes, names: held, devices } = encodeRow(row({ port: "r:a" }, value), table, scope);
    expect(table.key.decode(unpacked(key))).toEqual(1);
    expect(table.value.decode(unpacked(bytes))).toEqual({ list: [1, 5, { fields: 1 }], device: 7, none: 0 });
    expect(held.map(({ kind, name, uses }) => `${kind} ${name} ${uses}`)).toEqual([
      "port r:a 2",
      "port r:a 2",
      "instance l 1",
    ]);
    expect(devices).toEqual(["eth0", "no"]);
    for (const one of held) names.drop(one);
    expect(names.unheld("port").map(({ name }) => name)).toEqual(["r:a"]);
  });

  test.each([
    [
      "a name that there is not",
      row({ port: "nobody" }),
      "missing",
      'encode row of t {"port":"nobody"}: there is no port nobody',
    ],
    ["a value that does not fit", row({ id: 1n }, { text: "x".repeat(600) }), "encode", 'encode row of t {"id":"1"}'],
    ["a name too long", row({ port: "x".repeat(60) }), "encode", "at most 55 fit"],
  ])("refuses %s, and holds no id", (_, bad, code, message) => {
    const { names, scope } = bench();
    const some = { ...bad, value: { first: { port: "r:a" }, ...bad.value } };
    const error = (() => {
      try {
        return encodeRow(some, table, scope);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect([...names.all("port").values()].map((name) => names.hold("port", name).uses)).toEqual(
      names.all("port").size ? [1] : [],
    );
  });

  test("encoding the key of a row that was never written allocates no id", () => {
    const { names, scope } = bench();
    expect(encodeKey(row({ port: "r:a" }), table, scope)).toBeUndefined();
    expect(names.find("port", "r:a")).toBeUndefined();
    const { key } = encodeRow(row({ port: "r:a" }), table, scope);
    expect(encodeKey(row({ port: "r:a" }), table, scope)).toBe(key);
  });
});
