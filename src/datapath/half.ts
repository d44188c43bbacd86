import { type Chain, hopRow } from "./layout.ts";
import { Near } from "./near.ts";
import { decodeCourses, type PanelTables } from "./port-rows.ts";
import { idKey } from "./tables.ts";

/** Decoded courses by row: an unchanged row is not decoded again. */
const coursesOf = new WeakMap<Buffer, Record<Chain, number>>();

/** One generation of hop and device rows as the kernel holds it. Only writes rows that differ. */
export class Half {
  readonly #tables: PanelTables;
  readonly #gen: number;
  /** Rows of `weir_hops` by port, without rows of zeros. */
  readonly #blocks = new Map<number, Buffer>();
  /** Ports by index of the device that leads to them, and the reverse. */
  readonly #ports = new Map<number, number>();
  readonly #devices = new Map<number, number>();
  readonly #near: Near;

  constructor(tables: PanelTables, gen: number) {
    this.#tables = tables;
    this.#gen = gen;
    this.#near = new Near(tables.near, gen);
  }

  /** Reads all device rows, and the hops of these ports. A row equal to the other generation's shares its buffer. */
  load(ports: Iterable<number>, other?: Half): void {
    const { hops, devices } = this.#tables;
    for (const port of ports) {
      const block = hops.lookup(this.#key(port));
      if (!block?.some((byte) => byte !== 0)) continue;
      const others = other?.blockOf(port);
      this.#blocks.set(port, others?.equals(block) ? others : block);
    }
    for (const [key, value] of devices.entries()) {
      const { gen, ifindex } = devices.key.decode(key) as { gen: number; ifindex: number };
      if (gen === this.#gen) this.#note(Number(devices.value.decode(value)["port"]), ifindex);
    }
    this.#near.reload(this.#ports);
  }

  /** Compares these ports' hops with the kernel's, and rewrites those that somebody changed. */
  scrub(ports: Iterable<number>): void {
    const { hops } = this.#tables;
    for (const port of ports) {
      const held = this.#blocks.get(port);
      const found = hops.lookup(this.#key(port));
      if (held && !found?.equals(held)) hops.write([[this.#key(port), held]]);
      else if (!held && found?.some((byte) => byte !== 0)) hops.remove([this.#key(port)]);
    }
  }

  /** The same for the devices that programs find without hashing. */
  scrubNear(): void {
    this.#near.scrub();
  }

  /** The port to which a device leads, by ifindex. */
  leads(): ReadonlyMap<number, number> {
    return this.#ports;
  }

  /** Ports that have any row. */
  ports(): Set<number> {
    return new Set([...this.#blocks.keys(), ...this.#devices.keys()]);
  }

  has(port: number): boolean {
    return this.#blocks.has(port) || this.#devices.has(port);
  }

  blockOf(port: number): Buffer | undefined {
    return this.#blocks.get(port);
  }

  holdsBlock(port: number, block: Buffer): boolean {
    return this.#blocks.get(port)?.equals(block) === true;
  }

  isLike(other: Half, port: number): boolean {
    const [mine, others] = [this.#blocks.get(port), other.#blocks.get(port)];
    if (this.#devices.get(port) !== other.#devices.get(port)) return false;
    return mine === others || (mine !== undefined && others?.equals(mine) === true);
  }

  /** Copies a port's rows from the other generation. */
  copy(from: Half, port: number): void {
    this.setBlock(port, from.#blocks.get(port));
    this.setDevice(port, from.#devices.get(port));
  }

  coursesOf(port: number): Record<Chain, number> {
    const block = this.#blocks.get(port);
    if (!block) return { ingress: 0, egress: 0 };
    const known = coursesOf.get(block) ?? decodeCourses(this.#tables.hops, block);
    coursesOf.set(block, known);
    return known;
  }

  deviceOf(port: number): number | undefined {
    return this.#devices.get(port);
  }

  setBlock(port: number, block: Buffer | undefined): void {
    const { hops } = this.#tables;
    const held = this.#blocks.get(port);
    if (held === block || (held && block?.equals(held))) return;
    if (block) hops.write([[this.#key(port), block]]);
    else hops.remove([this.#key(port)]);
    if (block) this.#blocks.set(port, block);
    else this.#blocks.delete(port);
  }

  /** Makes exactly this device lead to the port; undefined: none. */
  setDevice(port: number, device: number | undefined): void {
    const held = this.#devices.get(port);
    if (held === device && (device === undefined || this.#ports.get(device) === port)) return;
    const { devices } = this.#tables;
    const key = (ifindex: number): Buffer => devices.key.encode({ ifindex, gen: this.#gen });
    if (device !== undefined) devices.write([[key(device), devices.value.encode({ port })]]);
    // a device that leads to another port by now is left alone
    if (held !== undefined && held !== device && this.#ports.get(held) === port) {
      devices.remove([key(held)]);
      this.#near.set(held, undefined);
      this.#ports.delete(held);
    }
    this.#devices.delete(port);
    if (device === undefined) return;
    this.#note(port, device);
    this.#near.set(device, port);
  }

  #note(port: number, device: number): void {
    const before = this.#ports.get(device);
    if (before !== undefined && before !== port) this.#devices.delete(before);
    this.#ports.set(device, port);
    this.#devices.set(port, device);
  }

  #key(port: number): Buffer {
    return idKey(hopRow(port, this.#gen));
  }
}
