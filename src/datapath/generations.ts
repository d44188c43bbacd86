import { isIPv6 } from "node:net";
import { ipBytes } from "../model/ip.ts";
import type { Generation, Tunnel } from "./compile.ts";
import { Courses } from "./courses.ts";
import { CHAIN_HOPS, HOP_IDS, type Hop, OPS, PORT_HOPS } from "./layout.ts";
import { idKey, type Rows, readRows, rowKey, type Table, writeDifference } from "./tables.ts";

export interface PanelTables {
  config: Table;
  hops: Table;
  courses: Table;
  devices: Table;
  tunnels: Table;
}

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

/** A whole panel, written at once or not at all. */
export type PanelState = Pick<Generation, "hops" | "devices" | "tunnels"> & { config: PanelConfig };

/**
 * The two generations of hop and device rows. A change goes into the idle one and becomes real by one write of
 * `weir_config`; the other is written again, and what it refers to removed, when no packet walks it any more. A state that
 * is in force already costs no write at all.
 */
export class Generations {
  readonly #tables: PanelTables;
  readonly #hops: [Rows, Rows] = [new Map(), new Map()];
  readonly #devices: [Rows, Rows] = [new Map(), new Map()];
  #tunnels: Rows = new Map();
  #config: Buffer | undefined;
  readonly #courses: Courses;
  readonly #identity: Identity;
  readonly #settle: () => void;
  #active = 0;
  /** What was made real, or found to be, since the kernel was read. */
  #real: PanelState | undefined;

  /**
   * @param ports ids of the ports that may have rows: the others' hops are out of reach and stay unread
   * @param settle returns when every packet that was on the panel has left it, or waits in a device
   */
  constructor(tables: PanelTables, ports: Iterable<number>, identity: Identity, settle: () => void = () => {}) {
    this.#tables = tables;
    this.#identity = identity;
    this.#settle = settle;
    this.reload(ports);
    const named = this.#hops.flatMap((half) =>
      [...half.values()].map((row) => tables.hops.value.decode(row)["course"]),
    );
    this.#courses = new Courses(tables.courses, named.map(Number));
  }

  /** Reads back what the kernel holds. */
  reload(ports: Iterable<number>): void {
    const { config, hops, devices, tunnels } = this.#tables;
    this.#real = undefined;
    this.#config = config.lookup(configKey(config));
    this.#active = this.#config ? Number(config.value.decode(this.#config)["gen"]) & 1 : 0;
    for (const half of [...this.#hops, ...this.#devices]) half.clear();
    for (const port of ports) for (const generation of [0, 1]) this.#readPort(hops, port, generation);
    for (const [key, value] of devices.entries()) {
      this.#half(this.#devices, Number(devices.key.decode(key)["gen"]) & 1).set(rowKey(key), value);
    }
    this.#tunnels = readRows(tunnels);
  }

  #readPort(hops: Table, port: number, generation: number): void {
    for (let hop = 0; hop < PORT_HOPS; hop++) {
      const key = hopKey(generation, port * PORT_HOPS + hop);
      const value = hops.lookup(key);
      if (value?.some((byte) => byte !== 0)) this.#half(this.#hops, generation).set(rowKey(key), value);
    }
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

  /** Makes the state real. Returns the rows written. */
  apply(state: PanelState): number {
    const { config, hops, devices, tunnels } = this.#tables;
    if (this.#real && sameState(state, this.#real)) return 0;
    this.#real = undefined;
    const wantedTunnels = this.#encodeTunnels(state.tunnels);
    const { courses, written: coursesWritten } = this.#courses.assign(state.hops);
    if (this.#inForce(state, courses, wantedTunnels)) {
      this.#real = state;
      return coursesWritten;
    }
    const idle = 1 - this.#active;
    // tunnels have no generation: new ones before the flip, old ones after it
    let written = writeDifference(tunnels, new Map([...this.#tunnels, ...wantedTunnels]), this.#tunnels);
    written += coursesWritten;
    written += writeDifference(hops, this.#encodeHops(state.hops, courses, idle), this.#half(this.#hops, idle));
    written += writeDifference(devices, this.#encodeDevices(state.devices, idle), this.#half(this.#devices, idle));
    this.#config = this.#encodeConfig(state.config, idle);
    config.write([[configKey(config), this.#config]]);
    this.#active = idle;
    this.#settle();
    written += 1 + writeDifference(tunnels, wantedTunnels, this.#tunnels);
    this.#real = state;
    return written;
  }

  #inForce(state: PanelState, courses: ReadonlyMap<number, number>, wantedTunnels: Rows): boolean {
    const active = this.#active;
    return (
      this.#config?.equals(this.#encodeConfig(state.config, active)) === true &&
      sameRows(wantedTunnels, this.#tunnels) &&
      sameRows(this.#encodeHops(state.hops, courses, active), this.#half(this.#hops, active)) &&
      sameRows(this.#encodeDevices(state.devices, active), this.#half(this.#devices, active))
    );
  }

  #half(halves: readonly [Rows, Rows], generation: number): Rows {
    return generation === 0 ? halves[0] : halves[1];
  }

  #encodeConfig(config: PanelConfig, gen: number): Buffer {
    return this.#tables.config.value.encode({
      gen,
      events: config.events ? 1 : 0,
      recirc_ifindex: config.recirc,
      split_ifindex: config.split,
      ...this.#identity,
      processors: config.processors,
    });
  }

  #encodeHops(hops: ReadonlyMap<number, Hop>, courses: ReadonlyMap<number, number>, generation: number): Rows {
    const rows: Rows = new Map();
    for (const [id, hop] of hops) {
      const course = courses.get(id - (id % CHAIN_HOPS)) ?? 0;
      const row = { ...hop, op: OPS.indexOf(hop.op), flags: hop.flags ?? 0, course };
      rows.set(rowKey(hopKey(generation, id)), this.#tables.hops.value.encode(row));
    }
    return rows;
  }

  #encodeDevices(devices: ReadonlyMap<number, number>, gen: number): Rows {
    const { key, value } = this.#tables.devices;
    return new Map(
      [...devices].map(([ifindex, port]) => [rowKey(key.encode({ ifindex, gen })), value.encode({ port })]),
    );
  }

  #encodeTunnels(tunnels: ReadonlyMap<number, Tunnel>): Rows {
    const rows: Rows = new Map();
    for (const [port, { vni, remote }] of tunnels) {
      const family = isIPv6(remote) ? 6 : 4;
      rows.set(rowKey(idKey(port)), this.#tables.tunnels.value.encode({ family, vni, remote: ipBytes(remote) }));
    }
    return rows;
  }
}

function hopKey(generation: number, id: number): Buffer {
  return idKey(generation * HOP_IDS + id);
}

function configKey(config: Table): Buffer {
  return Buffer.alloc(config.key.size);
}

function sameRows(a: Rows, b: Rows): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (!b.get(key)?.equals(value)) return false;
  return true;
}

/** Are all rows the same? Compared as they are, since encoding thousands costs more than the rest of a small change. */
function sameState(a: PanelState, b: PanelState): boolean {
  return (
    sameMap(a.hops, b.hops, sameFields) &&
    sameMap(a.devices, b.devices, (one, other) => one === other) &&
    sameMap(a.tunnels, b.tunnels, sameFields) &&
    sameFields(a.config, b.config)
  );
}

function sameMap<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>, same: (one: V, other: V) => boolean): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !same(value, other)) return false;
  }
  return true;
}

function sameFields<T extends object>(one: T, other: T): boolean {
  for (const name in { ...one, ...other }) if (one[name as keyof T] !== other[name as keyof T]) return false;
  return true;
}
