import { CHAIN_HOPS } from "./layout.ts";
import { idKey, type Table } from "./tables.ts";

/**
 * Ids of courses in the pinned map `weir_courses`: the functions of a chain in order, as a packet carries them while it
 * waits in a device. A row is written once. An id that is given up goes to another course as late as possible, since
 * packets under way may still carry it.
 */
export class Courses {
  readonly #table: Table;
  readonly #rows: number;
  readonly #ids = new Map<string, number>();
  readonly #courses = new Map<number, string>();
  /** In the order in which they are handed out. */
  readonly #free = new Set<number>();

  /**
   * @param rows how many the table has
   * @param inForce ids that rows of hops name
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
   * The course of a chain, whose row is written if there is none. It is in force until it is given up.
   * @param chain its first hop's id / CHAIN_HOPS
   * @throws Error when all are in force
   */
  take(chain: number, instances: readonly number[]): number {
    if (instances.length === 0) return 0;
    const known = this.#ids.get(courseName(chain, instances));
    const id = known ?? this.#add(chain, instances);
    this.#free.delete(id);
    return id;
  }

  /** No packet enters by this course any more. */
  giveUp(id: number): void {
    if (id !== 0) this.#free.add(id);
  }

  #add(chain: number, instances: readonly number[]): number {
    const [id] = this.#free;
    if (id === undefined) throw new Error(`allocate course: all ${this.#rows - 1} are in force`);
    const rest = Array<number>(CHAIN_HOPS - 1 - instances.length).fill(0);
    this.#table.write([[idKey(id), this.#table.value.encode({ chain, instance: [...instances, ...rest] })]]);
    this.#ids.delete(this.#courses.get(id) ?? "");
    this.#know(id, courseName(chain, instances));
    return id;
  }

  #know(id: number, course: string): void {
    this.#ids.set(course, id);
    this.#courses.set(id, course);
  }
}

const courseName = (chain: number, instances: readonly number[]): string => [chain, ...instances].join(" ");
