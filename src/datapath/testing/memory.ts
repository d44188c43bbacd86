import type { PanelTables } from "../port-rows.ts";
import { MemoryTable, type RowCodec } from "../tables.ts";

/** A codec for tests without BTF: JSON in a buffer of fixed size. */
export function jsonCodec(size = 256): RowCodec {
  return {
    size,
    encode(fields) {
      const bytes = Buffer.alloc(size);
      bytes.write(JSON.stringify(fields, (_, value) => (value instanceof Uint8Array ? [...value] : value)));
      return bytes;
    },
    decode(bytes) {
      return JSON.parse(bytes.toString("utf8").replace(/\0.*$/s, "") || "{}");
    },
  };
}

export const memoryTable = (name: string): MemoryTable => new MemoryTable(name, jsonCodec(), jsonCodec());

/** The panel's tables in memory. */
export function memoryPanel(): PanelTables & Record<string, MemoryTable> {
  const table = (name: string) => memoryTable(`weir_${name}`);
  return {
    config: table("config"),
    hops: new MemoryTable("weir_hops", jsonCodec(), jsonCodec(4096)),
    courses: table("courses"),
    devices: table("devices"),
  };
}
