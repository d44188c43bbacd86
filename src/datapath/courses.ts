import { CHAIN_HOPS } from "./layout.ts";
import { idKey, type Table } from "./tables.ts";

/**
 * Allocates ids of courses in the pinned map `weir_courses`. A course is the list of functions of a chain; a packet
 * carries its id while it waits in a device. A row is never rewritten while its id is in force. A released id is reused
 * as late as possible, since waiting packets may still carry it.
 */
export class Courses {
  readonly #table: Table;
  readonly #rows: number;
  readonly #ids = new Map<string, number>();
  readonly #courses = new Map<number, string>();
  /** Free ids, in order of reuse. */
  readonly #free = new Set<number>();

  /**
   * @param rows size of the map
   * @param inForce ids that rows of hops refer to
   */
  constructor(table: Table, rows: number, inForce: ReadonlySet<number>) {
    this.#table = table;
    this.#rows = rows;
    for (const [key, value] of table.entries()) {
      const { chain, instance } = table.value.decode(value) as { chain: number; instance: number[] };
      const functions = instance.filter((id) => id !== 0);
      this.#know(key.readUInt32LE(), courseName(chain, functions));
    }
    for (let id = 1; id < rows; id++) if (!inForce.has(id) && !this.#courses.has(id)) this.#free.add(id);
    for (const id of this.#courses.keys()) if (!inForce.has(id)) this.#free.add(id);
  }

  /**
   * Returns the course id of a chain, and writes its row if there is none. The id is in force until `giveUp`.
   * @param chain id of its first hop / CHAIN_HOPS
   * @throws Error if all ids are in force
   */
  take(chain: number, instances: readonly number[]): number {
    if (instances.length === 0) return 0;
    const known = this.#ids.get(courseName(chain, instances));
    const id = known ?? this.#add(chain, instances);
    this.#free.delete(id);
    return id;
  }

  /** Ids that have rows: packets that wait may carry those that were released, too. */
  ids(): number[] {
    return [...this.#courses.keys()];
  }

  /** Compares the rows of these ids with the kernel's, and rewrites those that somebody changed. */
  scrub(ids: Iterable<number>): void {
    for (const id of ids) {
      const course = this.#courses.get(id);
      if (course === undefined) continue;
      const [chain = 0, ...instances] = course.split(" ").map(Number);
      const row = this.#rowOf(chain, instances);
      if (!this.#table.lookup(idKey(id))?.equals(row)) this.#table.write([[idKey(id), row]]);
    }
  }

  /** Releases an id: no packet starts with this course any more. */
  giveUp(id: number): void {
    if (id !== 0) this.#free.add(id);
  }

  #add(chain: number, instances: readonly number[]): number {
    const [id] = this.#free;
    if (id === undefined) throw new Error(`allocate course: all ${this.#rows - 1} are in force`);
    this.#table.write([[idKey(id), this.#rowOf(chain, instances)]]);
    this.#ids.delete(this.#courses.get(id) ?? "");
    this.#know(id, courseName(chain, instances));
    return id;
  }

  #rowOf(chain: number, instances: readonly number[]): Buffer {
    const rest = Array<number>(CHAIN_HOPS - 1 - instances.length).fill(0);
    return this.#table.value.encode({ chain, instance: [...instances, ...rest] });
  }

  #know(id: number, course: string): void {
    this.#ids.set(course, id);
    this.#courses.set(id, course);
  }
}

const courseName = (chain: number, instances: readonly number[]): string => [chain, ...instances].join(" ");
