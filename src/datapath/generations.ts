import type { PortRows } from "./compile.ts";
import { Courses } from "./courses.ts";
import { Half } from "./half.ts";
import { CHAIN_HOPS, CHAINS, type Chain, firstHop } from "./layout.ts";
import { encodePort, type PanelTables } from "./port-rows.ts";

/** What one row of `weir_config` says. */
export interface PanelConfig {
  events: boolean;
  recirc: number; // ifindex
  split: number; // ifindex
  /** To which packets that come back are steered. */
  processors: number;
}

/** Of which build a panel is, and its place in the order in which panels come into force; from 1. */
export interface Identity {
  abi: number;
  epoch: number;
}

export interface GenerationsOptions {
  tables: PanelTables;
  /** Rows of `weir_courses`. */
  courses: number;
  /** Ids of ports that may have rows: the others' hops are out of reach and stay unread. */
  ports: Iterable<number>;
  identity: Identity;
  /** Returns when every packet that was on the panel has left it, or waits in a device. */
  settle?: () => void;
}

type Changes = Map<number, PortRows | undefined>;
/** A port's courses, by chain. */
type Taken = Record<Chain, number>;

/**
 * The two generations of hop and device rows, changed port by port. A port that is new is written into both, its device's
 * row last. A port that changes is written into the idle one, which becomes real, with all other changes, by one write of
 * `weir_config`; the half that was real is written when it is needed again. Of a port that goes the device's rows go first,
 * and the others when no packet walks them. What is in force already costs no write.
 */
export class Generations {
  readonly #tables: PanelTables;
  readonly #identity: Identity;
  readonly #settle: () => void;
  readonly #courses: Courses;
  readonly #halves: readonly [Half, Half];
  /** Ports whose rows differ between the halves. */
  readonly #stale = new Set<number>();
  readonly #taken = new Map<number, Taken>();
  readonly #staged: Changes = new Map();
  #config: Buffer | undefined;
  #active: 0 | 1 = 0;

  constructor({ tables, courses, ports, identity, settle = () => {} }: GenerationsOptions) {
    this.#tables = tables;
    this.#identity = identity;
    this.#settle = settle;
    this.#halves = [new Half(tables, 0), new Half(tables, 1)];
    this.reload(ports);
    const inForce = new Set([...this.#taken.values()].flatMap((taken) => CHAINS.map((chain) => taken[chain])));
    this.#courses = new Courses(tables.courses, courses, inForce);
  }

  /** Reads back what the kernel holds: all devices' rows, and the hops of these ports. */
  reload(ports: Iterable<number>): void {
    const { config } = this.#tables;
    this.#config = config.lookup(Buffer.alloc(config.key.size));
    this.#active = this.#config && Number(config.value.decode(this.#config)["gen"]) & 1 ? 1 : 0;
    this.#stale.clear();
    const known = new Set([...ports, ...this.ports()]);
    this.#halves[0].reload(known);
    this.#halves[1].reload(known, this.#halves[0]);
    this.#taken.clear();
    for (const port of known) {
      if (!this.#halves[0].isLike(this.#halves[1], port)) this.#stale.add(port);
      this.#taken.set(port, this.#real.coursesOf(port));
    }
  }

  get #real(): Half {
    return this.#halves[this.#active];
  }

  /** Whether this panel is the last that applied a state. */
  get isInForce(): boolean {
    if (!this.#config) return false;
    const { abi, epoch } = this.#tables.config.value.decode(this.#config);
    return abi === this.#identity.abi && epoch === this.#identity.epoch;
  }

  /** The generation in force, 0 or 1. */
  get active(): number {
    return this.#active;
  }

  /** Ids of ports that have rows. */
  ports(): Set<number> {
    return new Set(this.#halves.flatMap((half) => [...half.ports()]));
  }

  /** Notes what a port shall be; undefined: it goes. */
  stage(port: number, rows: PortRows | undefined): void {
    this.#staged.set(port, rows);
  }

  /** Makes real what was staged. Returns why ports failed, by id; others are in force all the same. */
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

  /** What has to be done for the staged ports. */
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

  /** The courses that a port has no more. */
  #swapCourses(port: number, taken: Taken): number[] {
    const had = this.#taken.get(port) ?? NO_COURSES;
    if (taken === NO_COURSES) this.#taken.delete(port);
    else this.#taken.set(port, taken);
    return CHAINS.map((chain) => had[chain]).filter((id) => id !== 0 && id !== taken.ingress && id !== taken.egress);
  }

  /** A new port, in both halves. Nothing leads there before its device's row: not into half-written chains, either. */
  #place(port: number, { rows, taken, block }: Encoded): void {
    const closed = encodePort(this.#tables.hops, rows, taken, true);
    for (const half of this.#halves) half.setBlock(port, closed);
    for (const half of this.#halves) half.setBlock(port, block);
    for (const half of this.#halves) half.setDevice(port, rows.entry);
  }

  /** Another device leads to a port: a row in each half, no chain. */
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

  /** Writes the configuration, unless it is in force: one write, which makes a generation real. */
  #configure(config: PanelConfig, gen: 0 | 1): void {
    const { config: table } = this.#tables;
    const row = table.value.encode({
      gen,
      events: config.events ? 1 : 0,
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

/** What staged changes come to. */
interface Work {
  /** New ports. */
  fresh: Map<number, Encoded>;
  /** Ports of which only the device changes, an ifindex. */
  moved: Map<number, number | undefined>;
  edited: Map<number, Encoded>;
  leaving: number[];
  /** Courses that are in force no more. */
  given: number[];
}

interface Encoded {
  rows: PortRows;
  taken: Taken;
  block: Buffer;
}

const NO_COURSES: Taken = { ingress: 0, egress: 0 };
