import type { PortRows } from "./compile.ts";
import { Courses } from "./courses.ts";
import { Half } from "./half.ts";
import { CHAIN_HOPS, CHAINS, type Chain, firstHop } from "./layout.ts";
import { encodePort, type PanelTables } from "./port-rows.ts";

/** The row of `weir_config`, without the generation. */
export interface PanelConfig {
  recirc: number; // ifindex
  split: number; // ifindex
  /** The number of processors to which returning packets are steered. */
  processors: number;
}

/** The build of a panel, and its position in the order in which panels came into force, from 1. */
export interface Identity {
  abi: number;
  epoch: number;
}

export interface GenerationsOptions {
  tables: PanelTables;
  /** The number of rows of `weir_courses`. */
  courses: number;
  /** Ids of ports that may have rows. Hops of other ports are unreachable and are not read. */
  ports: Iterable<number>;
  identity: Identity;
  /** Returns when every packet that was on the panel has left it or waits in a device. */
  settle?: () => void;
}

type Changes = Map<number, PortRows | undefined>;
/** A port's course ids, by chain. */
type Taken = Record<Chain, number>;

/**
 * The two generations of hop and device rows. A new port is written into both, its device row last. A changed port is
 * written into the idle generation, which takes effect together with all other changes by one write of `weir_config`;
 * the other generation is updated at the next flip. A removed port's device row is removed first, and its hops once no
 * packet can be on them. Rows that are in force already are not written again.
 */
export class Generations {
  readonly #tables: PanelTables;
  readonly #identity: Identity;
  readonly #settle: () => void;
  readonly #courses: Courses;
  readonly #halves: readonly [Half, Half];
  /** Ports whose rows differ between the generations. */
  readonly #stale = new Set<number>();
  readonly #taken = new Map<number, Taken>();
  readonly #staged: Changes = new Map();
  #config: Buffer | undefined;
  #active: 0 | 1 = 0;
  /** Ports and courses that this round of comparing has not reached. */
  #unscrubbed: { ports: number[]; courses: number[]; near: Half[] } = { ports: [], courses: [], near: [] };
  /** Digest of the map of devices when it was as it should be, and the writes that it had seen. */
  #goodDevices = { digest: "", writes: -1 };

  constructor({ tables, courses, ports, identity, settle = () => {} }: GenerationsOptions) {
    this.#tables = tables;
    this.#identity = identity;
    this.#settle = settle;
    this.#halves = [new Half(tables, 0), new Half(tables, 1)];
    this.#load(ports);
    const inForce = new Set([...this.#taken.values()].flatMap((taken) => CHAINS.map((chain) => taken[chain])));
    this.#courses = new Courses(tables.courses, courses, inForce);
  }

  /** Reads the kernel's state: all device rows, and the hops of these ports. */
  #load(ports: Iterable<number>): void {
    const { config } = this.#tables;
    this.#config = config.lookup(Buffer.alloc(config.key.size));
    this.#active = this.#config && Number(config.value.decode(this.#config)["gen"]) & 1 ? 1 : 0;
    const known = new Set(ports);
    this.#halves[0].load(known);
    this.#halves[1].load(known, this.#halves[0]);
    for (const port of this.ports()) known.add(port);
    for (const port of known) {
      if (!this.#halves[0].isLike(this.#halves[1], port)) this.#stale.add(port);
      this.#taken.set(port, this.#real.coursesOf(port));
    }
  }

  /**
   * Compares a slice of the rows with the kernel's, and rewrites what somebody else changed: at first the configuration
   * and devices' rows, then the devices near of each generation, then the hops of `count` ports and as many courses as they may have. False after the last.
   */
  scrub(count: number): boolean {
    const { ports, courses, near } = this.#unscrubbed;
    const half = near.pop();
    if (half) {
      half.scrubNear();
      return near.length + ports.length + courses.length > 0;
    }
    if (ports.length + courses.length > 0) {
      const some = ports.splice(0, count);
      for (const one of this.#halves) one.scrub(some);
      this.#courses.scrub(courses.splice(0, CHAINS.length * count));
      return ports.length + courses.length > 0;
    }
    this.#scrubConfig();
    this.#scrubDevices();
    this.#unscrubbed = { ports: [...this.ports()], courses: this.#courses.ids(), near: [...this.#halves] };
    return true;
  }

  #scrubConfig(): void {
    const { config } = this.#tables;
    const key = Buffer.alloc(config.key.size);
    if (this.#config && !config.lookup(key)?.equals(this.#config)) config.write([[key, this.#config]]);
  }

  #scrubDevices(): void {
    const { devices } = this.#tables;
    const digest = devices.digest();
    if (digest === this.#goodDevices.digest && devices.writes === this.#goodDevices.writes) return;
    const missing = this.#halves.map((half) => new Map(half.leads()));
    const strangers: Buffer[] = [];
    for (const [key, value] of devices.entries()) {
      const { gen, ifindex } = devices.key.decode(key) as { gen: number; ifindex: number };
      const port = this.#halves[gen]?.leads().get(ifindex);
      if (port === undefined) strangers.push(key);
      else if (Number(devices.value.decode(value)["port"]) === port) missing[gen]?.delete(ifindex);
    }
    devices.remove(strangers);
    const rows = missing.flatMap((leads, gen) =>
      [...leads].map(([ifindex, port]): [Buffer, Buffer] => [
        devices.key.encode({ ifindex, gen }),
        devices.value.encode({ port }),
      ]),
    );
    devices.write(rows);
    this.#goodDevices = { digest: strangers.length + rows.length > 0 ? "" : digest, writes: devices.writes };
  }

  get #real(): Half {
    return this.#halves[this.#active];
  }

  /** Whether this panel was the last to come into force. */
  get isInForce(): boolean {
    if (!this.#config) return false;
    const { abi, epoch } = this.#tables.config.value.decode(this.#config);
    return abi === this.#identity.abi && epoch === this.#identity.epoch;
  }

  /** The active generation, 0 or 1. */
  get active(): number {
    return this.#active;
  }

  /** Ids of ports that have rows. */
  ports(): Set<number> {
    return new Set(this.#halves.flatMap((half) => [...half.ports()]));
  }

  /** Stages a port's new rows; `undefined` removes the port. */
  stage(port: number, rows: PortRows | undefined): void {
    this.#staged.set(port, rows);
  }

  /** Puts the staged ports in force. Returns errors by port id; the other ports are in force. */
  commit(config: PanelConfig): Map<number, Error> {
    const failures = new Map<number, Error>();
    const { fresh, moved, edited, leaving, given } = this.#sort(failures);
    for (const port of leaving) for (const half of this.#halves) half.setDevice(port, undefined);
    for (const [port, encoded] of fresh) this.#attempt(failures, port, () => this.#place(port, encoded));
    for (const [port, device] of moved) this.#attempt(failures, port, () => this.#move(port, device));
    if (edited.size > 0) this.#flip(edited, config, failures);
    else this.#configure(config, this.#active);
    if (edited.size > 0 || leaving.length > 0) this.#settle();
    for (const port of leaving) this.#clear(port);
    for (const course of given) this.#courses.giveUp(course);
    return failures;
  }

  #attempt(failures: Map<number, Error>, port: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      failures.set(port, error as Error);
    }
  }

  /** Determines what must be done for the staged ports. */
  #sort(failures: Map<number, Error>): Work {
    const work: Work = { fresh: new Map(), moved: new Map(), edited: new Map(), leaving: [], given: [] };
    for (const [port, rows] of this.#staged) {
      if (rows) this.#attempt(failures, port, () => this.#sortPort(port, rows, work));
      else if (this.#halves.some((half) => half.has(port))) {
        work.leaving.push(port);
        work.given.push(...this.#swapCourses(port, NO_COURSES));
      }
    }
    this.#staged.clear();
    return work;
  }

  #sortPort(port: number, rows: PortRows, { fresh, moved, edited, given }: Work): void {
    const taken = this.#takeCourses(port, rows);
    given.push(...this.#swapCourses(port, taken));
    const encoded = { rows, taken, block: encodePort(this.#tables.hops, rows, taken) };
    if (!this.#halves.some((half) => half.has(port))) fresh.set(port, encoded);
    else if (this.#halves.every((half) => half.holdsBlock(port, encoded.block))) {
      if (this.#halves.some((half) => half.deviceOf(port) !== rows.entry)) moved.set(port, rows.entry);
    } else if (!this.#real.holdsBlock(port, encoded.block) || this.#real.deviceOf(port) !== rows.entry) {
      edited.set(port, encoded);
    }
  }

  #takeCourses(port: number, rows: PortRows): Taken {
    const take = (chain: Chain): number => {
      const instances = rows[chain].slice(0, -1).map(({ instance }) => instance);
      return this.#courses.take(firstHop(port, chain) / CHAIN_HOPS, instances);
    };
    const ingress = take("ingress");
    try {
      return { ingress, egress: take("egress") };
    } catch (error) {
      if (ingress !== this.#taken.get(port)?.ingress) this.#courses.giveUp(ingress);
      throw error;
    }
  }

  /** Replaces a port's courses. Returns the old ones that are no longer in use. */
  #swapCourses(port: number, taken: Taken): number[] {
    const had = this.#taken.get(port) ?? NO_COURSES;
    if (taken === NO_COURSES) this.#taken.delete(port);
    else this.#taken.set(port, taken);
    return CHAINS.map((chain) => had[chain]).filter((id) => id !== 0 && id !== taken.ingress && id !== taken.egress);
  }

  /**
   * Writes a new port into both generations. Its device row comes last, since packets must not enter half-written
   * chains.
   */
  #place(port: number, { rows, taken, block }: Encoded): void {
    const closed = encodePort(this.#tables.hops, rows, taken, true);
    for (const half of this.#halves) half.setBlock(port, closed);
    for (const half of this.#halves) half.setBlock(port, block);
    for (const half of this.#halves) half.setDevice(port, rows.entry);
  }

  /** Changes which device leads to a port: one row in each generation, no hops. */
  #move(port: number, device: number | undefined): void {
    for (const half of this.#halves) half.setDevice(port, device);
  }

  #flip(edited: ReadonlyMap<number, Encoded>, config: PanelConfig, failures: Map<number, Error>): void {
    const idle = this.#active === 0 ? 1 : 0;
    const [from, to] = [this.#real, this.#halves[idle]];
    const behind = [...this.#stale].filter((port) => !edited.has(port));
    for (const port of behind) this.#attempt(failures, port, () => to.copy(from, port));
    for (const [port, { rows, block }] of edited) {
      this.#attempt(failures, port, () => {
        to.setBlock(port, block);
        to.setDevice(port, rows.entry);
      });
    }
    this.#configure(config, idle);
    this.#active = idle;
    this.#stale.clear();
    for (const port of edited.keys()) this.#stale.add(port);
  }

  /** Writes the configuration unless it is in force. This single write activates a generation. */
  #configure(config: PanelConfig, gen: 0 | 1): void {
    const { config: table } = this.#tables;
    const row = table.value.encode({
      gen,
      recirc_ifindex: config.recirc,
      split_ifindex: config.split,
      ...this.#identity,
      processors: config.processors,
    });
    if (this.#config?.equals(row)) return;
    table.write([[Buffer.alloc(table.key.size), row]]);
    this.#config = row;
  }

  #clear(port: number): void {
    for (const half of this.#halves) half.setBlock(port, undefined);
    this.#stale.delete(port);
  }
}

/** The work for a set of staged changes. */
interface Work {
  /** New ports. */
  fresh: Map<number, Encoded>;
  /** Ports of which only the device changed, with its index. */
  moved: Map<number, number | undefined>;
  edited: Map<number, Encoded>;
  leaving: number[];
  /** Courses that are no longer in use. */
  given: number[];
}

interface Encoded {
  rows: PortRows;
  taken: Taken;
  block: Buffer;
}

const NO_COURSES: Taken = { ingress: 0, egress: 0 };
