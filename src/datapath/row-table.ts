import type { Change, Row } from "../model/document.ts";
import { rowId } from "../model/row-id.ts";
import { Backoff } from "./backoff.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { Name } from "./names.ts";
import type { Outcomes } from "./outcomes.ts";
import { RowFaults } from "./row-faults.ts";
import { describe, type EncodedRow, encodeKey, encodeRow, type RowScope } from "./rows.ts";
import { packed, type Table, unpacked } from "./tables.ts";

/** A row in the map. Its owner is empty if it was found in the map and is not wanted yet. */
interface HeldRow {
  owner: string;
  value: string;
  names: readonly Name[];
}

type Wanted = Pick<Change<Row>, "owner" | "item">;
interface Write extends EncodedRow {
  id: string;
  wanted: Wanted;
}

const NO_NAMES: readonly Name[] = [];
/** The number of waiting rows that are retried at once. */
const TURN = 256;

/**
 * The rows of one map. Rows in the map are kept as packed bytes, waiting ones as fragments' items. Each row is encoded,
 * written and removed by itself, so that a failure affects its owner only.
 */
export class RowTable {
  readonly table: Table;
  readonly retry: Backoff;
  readonly #scope: RowScope;
  readonly #faults: RowFaults;
  /** Rows by key; read from the map at first use. */
  #held: Map<string, HeldRow> | undefined;
  /** Changes to handle in this pass, by row id. */
  readonly #due = new Map<string, Change<Row>>();
  /** Rows that could not be written, by row id. */
  readonly #waiting = new Map<string, Wanted>();
  /** Rows that refer to devices, by row id, with their keys. */
  readonly #onDevices = new Map<string, Wanted & { key: string; devices: readonly string[] }>();
  /** Keys of rows that somebody else changed and that could not be repaired. */
  readonly #spoilt = new Set<string>();
  #refusedForRoom = 0;
  /** The names of the last row. Consecutive rows often refer to the same names and share the list. */
  #lastNames = NO_NAMES;
  /** The map's digest when it was last known to be correct, and the number of writes at that time. */
  #good = { digest: "", writes: -1 };

  constructor(table: Table, scope: RowScope, outcomes: Outcomes, now: () => number) {
    this.table = table;
    this.#scope = scope;
    this.#faults = new RowFaults(table.name, outcomes);
    this.retry = new Backoff(now);
  }

  /** The number of rows in the map. */
  get size(): number {
    return this.#held?.size ?? 0;
  }

  /** The number of rows that are not in the map or not as wanted. */
  get waiting(): number {
    return this.#waiting.size + this.#spoilt.size;
  }

  /** Whether a row refers to this device. */
  names(device: string): boolean {
    for (const { devices } of this.#onDevices.values()) if (devices.includes(device)) return true;
    return false;
  }

  take(change: Change<Row>): void {
    const id = rowId(change.item);
    this.#due.set(id, change);
    if (change.gone) this.#waiting.delete(id);
  }

  /** Encodes the rows that refer to these devices again. */
  follow(devices: ReadonlySet<string>): void {
    for (const [id, row] of this.#onDevices) {
      if (this.#due.has(id) || !row.devices.some((one) => devices.has(one))) continue;
      const { owner, item } = this.#waiting.get(id) ?? row;
      this.#due.set(id, { owner, item, gone: false });
    }
  }

  /** Retries waiting rows in turn. If the map is full, only some of those that need a new entry are tried. */
  tryAgain(): void {
    this.#mend([...this.#spoilt]);
    const ids = [...this.#waiting.keys()];
    for (let start = 0; start < ids.length; start += TURN) {
      const turn = ids.slice(start, start + TURN);
      for (const id of turn) {
        const wanted = this.#waiting.get(id);
        if (wanted && !this.#due.has(id)) this.#due.set(id, { ...wanted, gone: false });
      }
      const before = this.#refusedForRoom;
      this.add();
      if (this.#refusedForRoom - before >= turn.length) break;
    }
    this.#schedule(false);
  }

  /** Writes new and changed rows. */
  add(): void {
    if (this.#due.size === 0) return;
    this.#read();
    const writes = new Map<string, Write>();
    let isNew = false;
    for (const [id, { owner, item, gone }] of this.#due) {
      if (gone) continue;
      this.#due.delete(id);
      try {
        const write = { id, wanted: { owner, item }, ...encodeRow(item, this.table, this.#scope) };
        if (this.#isHeld(write)) this.#settle(write);
        else this.#replace(writes, write);
      } catch (error) {
        isNew = this.#refuse(id, { owner, item }, error) || isNew;
      }
    }
    this.#schedule(this.#write([...writes.values()]) || isNew);
  }

  /**
   * Removes rows that are gone, which may make room for waiting ones. @param whole also removes rows without an owner
   */
  remove(whole: boolean): void {
    const keys = new Set<string>();
    for (const [id, { item }] of this.#due) {
      const key = this.#onDevices.get(id)?.key ?? encodeKey(item, this.table, this.#scope);
      if (key !== undefined && this.#read().has(key)) keys.add(key);
      this.#due.delete(id);
      this.#onDevices.delete(id);
      this.#faults.set(id, undefined);
    }
    if (whole) for (const [key, { owner }] of this.#read()) if (owner === "") keys.add(key);
    if (keys.size > 0) this.#drop([...keys]);
    if (keys.size > 0 && this.#waiting.size > 0) {
      this.tryAgain();
    }
    this.#schedule(false);
  }

  /** Compares all rows with the map, and repairs those that somebody else changed. */
  scrub(): void {
    if (!this.#held) return;
    const digest = this.table.digest();
    if (digest === this.#good.digest && this.table.writes === this.#good.writes) return;
    const { strangers, wrong } = this.#compare(this.#held);
    this.table.remove(strangers);
    this.#mend(wrong);
    const isGood = strangers.length + wrong.length === 0;
    this.#good = { digest: isGood ? digest : "", writes: this.table.writes };
  }

  /** Keys of rows in the map without an owner, and of rows that are not in the map as they were written. */
  #compare(rows: ReadonlyMap<string, HeldRow>): { strangers: Buffer[]; wrong: string[] } {
    const strangers: Buffer[] = [];
    const wrong: string[] = [];
    const seen = new Set<string>();
    for (const [key, value] of this.table.entries()) {
      const text = packed(key);
      const held = rows.get(text);
      if (!held) strangers.push(key);
      else if (held.value !== packed(value)) wrong.push(text);
      seen.add(text);
    }
    if (seen.size - strangers.length === rows.size) return { strangers, wrong };
    for (const [key, { value }] of rows) if (!seen.has(key) && !this.#isThere(key, value)) wrong.push(key);
    return { strangers, wrong };
  }

  #read(): Map<string, HeldRow> {
    if (this.#held) return this.#held;
    const rows = this.table.entries();
    this.#held = new Map(
      rows.map(([key, value]) => [packed(key), { owner: "", value: packed(value), names: NO_NAMES }]),
    );
    return this.#held;
  }

  #isHeld({ key, value }: Write): boolean {
    return this.#held?.get(key)?.value === value && !this.#spoilt.has(key);
  }

  /** Of two rows with the same encoded key the later one counts. */
  #replace(writes: Map<string, Write>, write: Write): void {
    for (const name of writes.get(write.key)?.names ?? NO_NAMES) this.#scope.names.drop(name);
    writes.set(write.key, write);
  }

  /** Returns true if a row failed that had not failed before. */
  #write(writes: readonly Write[]): boolean {
    if (writes.length === 0) return false;
    const rows = writes.map(({ key, value }): [Buffer, Buffer] => [unpacked(key), unpacked(value)]);
    const refused = new Map(this.table.writeEach(rows).map(({ index, error }) => [index, error]));
    let isNew = false;
    for (const [index, write] of writes.entries()) {
      const error = refused.get(index);
      if (!error) {
        this.#settle(write);
        continue;
      }
      for (const name of write.names) this.#scope.names.drop(name);
      const { item } = write.wanted;
      const message = `write row of ${item.table} ${describe(item.key)}: ${error.message}`;
      const fault = new Fault(outcomeOf("", error).code, message, { cause: error });
      isNew = this.#refuse(write.id, write.wanted, fault) || isNew;
    }
    return isNew;
  }

  /** Records that a row is in the map. */
  #settle({ id, wanted, key, value, names, devices }: Write): void {
    const held = this.#read();
    const before = held.get(key);
    if (!sameNames(this.#lastNames, names)) this.#lastNames = names;
    held.set(key, { owner: wanted.owner, value, names: this.#lastNames });
    for (const name of before?.names ?? NO_NAMES) this.#scope.names.drop(name);
    this.#waiting.delete(id);
    this.#mended(key);
    const old = this.#onDevices.get(id)?.key;
    if (old !== undefined && old !== key) this.#drop([old]);
    if (devices.length > 0) this.#onDevices.set(id, { ...wanted, key, devices });
    else this.#onDevices.delete(id);
    const missing = devices.find((device) => this.#scope.ifindex(device) === undefined);
    const fault = missing === undefined ? undefined : new Fault("no-device", `there is no device ${missing}`);
    this.#faults.set(id, fault && outcomeOf(wanted.owner, fault));
  }

  /** Records a failure; the old row stays. Returns true if the row had not failed before. */
  #refuse(id: string, wanted: Wanted, error: unknown): boolean {
    const isNew = !this.#waiting.delete(id);
    this.#waiting.set(id, wanted); // appended, so that others are retried first
    const key = this.#onDevices.get(id)?.key ?? encodeKey(wanted.item, this.table, this.#scope);
    const held = key === undefined ? undefined : this.#held?.get(key);
    if (held && held.owner !== "") held.owner = wanted.owner; // a row found in the map has no known names, so it keeps its empty owner
    const outcome = outcomeOf(wanted.owner, error);
    if (outcome.code === "full") this.#refusedForRoom++;
    this.#faults.set(id, outcome);
    return isNew;
  }

  #drop(keys: readonly string[]): void {
    const held = this.#read();
    this.table.remove(keys.map(unpacked));
    for (const key of keys) {
      for (const name of held.get(key)?.names ?? NO_NAMES) this.#scope.names.drop(name);
      held.delete(key);
      this.#mended(key);
    }
  }

  #schedule(isNew: boolean): void {
    if (this.waiting === 0) this.retry.clear();
    else if (isNew || this.retry.isDue || this.retry.left === undefined) this.retry.fail(isNew);
  }

  #isThere(key: string, value: string): boolean {
    const found = this.table.lookup(unpacked(key));
    return found !== undefined && packed(found) === value;
  }

  #mend(keys: readonly string[]): void {
    const rows = keys.flatMap((key): [string, HeldRow][] => {
      const row = this.#held?.get(key);
      return row ? [[key, row]] : [];
    });
    if (rows.length === 0) return;
    const refusals = this.table.writeEach(rows.map(([key, { value }]) => [unpacked(key), unpacked(value)]));
    const refused = new Map(refusals.map(({ index, error }) => [index, error]));
    for (const [index, [key, { owner }]] of rows.entries()) {
      const error = refused.get(index);
      if (!error) this.#mended(key);
      else {
        this.#spoilt.add(key);
        this.#faults.set(spoilt(key), outcomeOf(owner, error));
      }
    }
    this.#schedule(refused.size > 0);
  }

  #mended(key: string): void {
    if (this.#spoilt.delete(key)) this.#faults.set(spoilt(key), undefined);
  }
}

/** The id under which the fault of a row that somebody else changed is kept, by its key. */
const spoilt = (key: string): string => `spoilt ${key}`;

const sameNames = (a: readonly Name[], b: readonly Name[]): boolean =>
  a.length === b.length && a.every((name, index) => name === b[index]);
