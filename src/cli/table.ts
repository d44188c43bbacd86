import { naturally, printable } from "./format.ts";
import { type Io, wantsColour } from "./io.ts";

/** A column of a table: its heading and its text for an item. */
export interface Column<T> {
  title: string;
  value(item: T): string | number;
  /** Only with `-o wide`. */
  wide?: boolean;
  /** A number: aligned to the right. */
  number?: boolean;
  /** Colour of the shown text on a terminal. */
  colour?(item: T): "red" | "green" | "yellow" | undefined;
}

/** Prints rows without borders, two spaces apart. Loads its libraries at first use. */
export async function printTable<T>(io: Io, columns: readonly Column<T>[], items: readonly T[]): Promise<void> {
  const [{ default: Table }, { default: picocolors }] = await Promise.all([import("cli-table3"), import("picocolors")]);
  const paint = picocolors.createColors(wantsColour(io));
  const none = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
  const inner = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const table = new Table({
    head: columns.map(({ title }) => paint.bold(title)),
    chars: { ...Object.fromEntries([...none, ...inner].map((name) => [name, ""])), middle: "  " },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colAligns: columns.map(({ number }) => (number ? "right" : "left")),
  });
  for (const item of items) {
    table.push(
      columns.map(({ value, colour }) => {
        const text = printable(String(value(item)));
        const name = colour?.(item);
        return name ? paint[name](text) : text;
      }),
    );
  }
  const lines = table.toString().split("\n");
  io.stdout.write(`${lines.map((line) => line.trimEnd()).join("\n")}\n`);
}

/** Sorts rows by their columns' texts from left to right, numbers in them by value. */
export function sorted<T>(items: readonly T[], ...keys: ((item: T) => string)[]): T[] {
  return [...items].sort((a, b) => {
    for (const key of keys) {
      const order = naturally(key(a), key(b));
      if (order !== 0) return order;
    }
    return 0;
  });
}
