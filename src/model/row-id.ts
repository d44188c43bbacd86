import type { Row, RowFields, RowValue } from "./document.ts";

/** A short id of a row's table and key: large tables have tens of thousands of rows. */
export function rowId({ table, key }: Pick<Row, "table" | "key">): string {
  return `${table} ${fieldsText(key)}`;
}

function fieldsText(fields: RowFields): string {
  let text = "";
  for (const name in fields) text += `${valueText(fields[name] as RowValue)};`;
  return text;
}

function valueText(value: RowValue): string {
  if (typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1");
  if (Array.isArray(value)) return `[${value.map(valueText).join()}]`;
  return fieldsText(value as RowFields);
}
