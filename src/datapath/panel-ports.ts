import type { PortRows } from "./compile.ts";
import type { Generations, PanelConfig, PanelState } from "./generations.ts";
import type { Names } from "./names.ts";
import type { PortTable } from "./ports.ts";

/** A panel's rows, port by port, over its generations. */
export class PanelPorts implements PortTable {
  readonly #generations: Generations;
  readonly #names: Names;
  readonly #ports = new Map<string, PortRows>();

  constructor(generations: Generations, names: Names) {
    this.#generations = generations;
    this.#names = names;
  }

  set(name: string, rows: PortRows): void {
    this.#ports.set(name, rows);
  }

  remove(name: string): void {
    this.#ports.delete(name);
  }

  commit(config: PanelConfig): void {
    const state: PanelState = { hops: new Map(), devices: new Map(), tunnels: new Map(), config };
    for (const { id, hops, entry, tunnel } of this.#ports.values()) {
      for (const [hop, row] of hops) state.hops.set(hop, row);
      if (entry !== undefined) state.devices.set(entry, id);
      if (tunnel) state.tunnels.set(id, tunnel);
    }
    this.#generations.apply(state);
  }

  reload(): void {
    this.#generations.reload(this.#names.all("port").keys());
  }
}
