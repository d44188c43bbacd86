import { CHAIN_HOPS, COURSES, type Hop } from "./layout.ts";
import { idKey, type Table } from "./tables.ts";

/**
 * Ids of courses in the pinned map `weir_courses`: the functions of a chain in order, as a packet carries them while it
 * waits in a device. A row is written once. An id goes to another course as late as possible, since packets under way may
 * still carry it; one that was in force at the last assignment stays as it is during the next.
 */
export class Courses {
  readonly #table: Table;
  readonly #ids = new Map<string, number>();
  readonly #courses = new Map<number, string>();
  /** In the order in which they are handed out. */
  readonly #free = new Set<number>();
  #inForce: Set<number>;

  /** @param inForce ids that rows of hops name */
  constructor(table: Table, inForce: Iterable<number>) {
    this.#table = table;
    this.#inForce = new Set(inForce);
    for (const [key, value] of table.entries()) {
      const { first, instance } = table.value.decode(value) as { first: number; instance: number[] };
      this.#know(
        key.readUInt32LE(),
        courseName(
          first,
          instance.filter((id) => id !== 0),
        ),
      );
    }
    const isFree = (id: number) => !this.#inForce.has(id);
    const ids = Array.from({ length: COURSES - 1 }, (_, i) => i + 1).filter(isFree);
    for (const id of ids) if (!this.#courses.has(id)) this.#free.add(id);
    for (const id of ids) this.#free.add(id);
  }

  /** The course of each chain, by its first hop; rows are written for those that have none. */
  assign(hops: ReadonlyMap<number, Hop>): { courses: Map<number, number>; written: number } {
    const chains = chainsOf(hops);
    const courses = new Map<number, number>();
    for (const [first, instances] of chains) {
      const id = instances.length === 0 ? 0 : this.#ids.get(courseName(first, instances));
      if (id !== undefined) courses.set(first, id);
    }
    for (const id of courses.values()) this.#free.delete(id);
    let written = 0;
    for (const [first, instances] of chains) {
      if (courses.has(first)) continue;
      courses.set(first, this.#add(first, instances));
      written++;
    }
    const inForce = new Set(courses.values());
    for (const id of this.#inForce) if (id !== 0 && !inForce.has(id)) this.#free.add(id);
    this.#inForce = inForce;
    return { courses, written };
  }

  #add(first: number, instances: readonly number[]): number {
    const [id] = this.#free;
    if (id === undefined) throw new Error(`allocate course: all ${COURSES - 1} are in force`);
    this.#table.write([[idKey(id), this.#table.value.encode({ first, instance: fill(instances) })]]);
    this.#free.delete(id);
    this.#ids.delete(this.#courses.get(id) ?? "");
    this.#know(id, courseName(first, instances));
    return id;
  }

  #know(id: number, course: string): void {
    this.#ids.set(course, id);
    this.#courses.set(id, course);
  }
}

const courseName = (first: number, instances: readonly number[]): string => [first, ...instances].join(" ");

const fill = (instances: readonly number[]): number[] => [
  ...instances,
  ...Array<number>(CHAIN_HOPS - 1 - instances.length).fill(0),
];

/** Instances of each chain's functions, in order, by the chain's first hop. The last hop of a chain is none of them. */
function chainsOf(hops: ReadonlyMap<number, Hop>): Map<number, number[]> {
  const chains = new Map<number, number[]>();
  for (const [id, { instance }] of [...hops].sort(([a], [b]) => a - b)) {
    const first = id - (id % CHAIN_HOPS);
    const chain = chains.get(first);
    if (chain) chain.push(instance);
    else chains.set(first, [instance]);
  }
  for (const chain of chains.values()) chain.pop();
  return chains;
}
