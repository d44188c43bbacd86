import { type NetworkNews, type RouteInfo, WEIR_ROUTE_PROTOCOL } from "../kernel/index.ts";
import type { Change, Route } from "../model/document.ts";
import { Backoff } from "./backoff.ts";
import { Dependents } from "./dependents.ts";
import type { Devices } from "./devices.ts";
import { Fault, outcomeOf } from "./fault.ts";
import type { Network } from "./network.ts";
import type { Outcomes } from "./outcomes.ts";

interface Wanted {
  owner: string;
  item: Route;
}

/**
 * The node's routes with Weir's protocol number. Other routes are never replaced or removed, so they may be in the way.
 */
export class Routes {
  /** Number of routes added or removed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #network: Network;
  readonly #devices: Devices;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  readonly #byDevice = new Dependents();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** Routes that were removed, by the kernel's notifications, by CIDR. */
  readonly #lost = new Set<string>();
  /** The kernel's routes by CIDR; read at first use, and again when they may have changed. */
  #held: Map<string, RouteInfo[]> | undefined;

  constructor(network: Network, devices: Devices, outcomes: Outcomes, now: () => number) {
    this.#network = network;
    this.#devices = devices;
    this.#outcomes = outcomes;
    this.retry = new Backoff(now);
  }

  get waiting(): number {
    return this.#failed.size;
  }

  /** Whether a route uses this device. */
  names(device: string): boolean {
    return this.#byDevice.has(device);
  }

  take({ owner, item, gone }: Change<Route>): void {
    if (gone) this.#wanted.delete(item.cidr);
    else this.#wanted.set(item.cidr, { owner, item });
    this.#byDevice.set(item.cidr, gone ? [] : [item.device]);
    this.#due.add(item.cidr);
  }

  /**
   * Checks routes of changed devices again. The kernel removes routes of a device that goes down without a
   * notification.
   */
  follow(devices: ReadonlySet<string>): void {
    for (const device of devices) {
      for (const cidr of this.#byDevice.of(device)) {
        this.#held = undefined;
        this.#due.add(cidr);
      }
    }
  }

  /** Routes that were removed, by the kernel's notifications, and that no pass has read since. */
  lost(): { owner: string; message: string }[] {
    return [...this.#lost].flatMap((cidr) => {
      const wanted = this.#wanted.get(cidr);
      return wanted ? [{ owner: wanted.owner, message: `route ${cidr} was removed` }] : [];
    });
  }

  /** Has all routes compared with the kernel's in the next pass. */
  doubt(): void {
    this.#held = undefined;
    for (const cidr of this.#wanted.keys()) this.#due.add(cidr);
  }

  tryAgain(): void {
    for (const cidr of this.#failed) this.#due.add(cidr);
  }

  /**
   * Takes in a notification. Returns true if a route of Weir's has changed or may have: the kernel removes routes with
   * their source address without a notification.
   */
  noticed(news: Extract<NetworkNews, { kind: "route" | "address" }>): boolean {
    if (news.kind === "address") {
      const isConcerned = [...this.#wanted.values()].some(({ item }) => item.source !== undefined);
      if (isConcerned) this.doubt();
      return isConcerned;
    }
    const { route, gone } = news;
    const wanted = this.#wanted.get(route.cidr);
    const isOwn = route.protocol === WEIR_ROUTE_PROTOCOL;
    const isInTheWay = this.#failed.has(route.cidr);
    // a new foreign route may have replaced ours, without a further notification
    if (!isOwn && !(gone ? isInTheWay : wanted && !isInTheWay)) return false;
    const isHeld = wanted !== undefined && this.#isThat(route, wanted.item);
    if (isOwn && isHeld && gone) this.#lost.add(route.cidr);
    else if (isOwn && isHeld) this.#lost.delete(route.cidr);
    if (isOwn && gone !== isHeld) return false;
    this.#held = undefined;
    this.#due.add(route.cidr);
    return true;
  }

  /** Adds and removes routes. @param whole all wanted routes are known: others of Weir's are removed */
  ensure(whole: boolean): void {
    if (whole) for (const cidr of this.#read().keys()) this.#due.add(cidr);
    let isNew = false;
    for (const cidr of this.#due) {
      this.#due.delete(cidr);
      const wanted = this.#wanted.get(cidr);
      try {
        this.#ensureOne(cidr, wanted?.item);
        this.#failed.delete(cidr);
        this.#outcomes.set(`route ${cidr}`, undefined);
      } catch (error) {
        isNew = isNew || !this.#failed.has(cidr);
        this.#failed.add(cidr);
        this.#outcomes.set(`route ${cidr}`, outcomeOf(wanted?.owner ?? this.#outcomes.node, error));
      }
    }
    if (this.#failed.size === 0) this.retry.clear();
    else if (isNew || this.retry.isDue) this.retry.fail(isNew);
  }

  /**
   * Replaces a route by removing the old one immediately before adding the new one, so that packets miss it as briefly
   * as possible.
   */
  #ensureOne(cidr: string, wanted: Route | undefined): void {
    this.#lost.delete(cidr);
    const held = this.#read();
    const found = held.get(cidr) ?? [];
    const right = wanted && found.find((one) => this.#isThat(one, wanted));
    for (const one of found) {
      if (one === right) continue;
      this.#network.removeRoute(one);
      this.writes++;
    }
    held.set(cidr, right ? [right] : []);
    if (wanted && !right) this.#add(held, wanted);
    if (held.get(cidr)?.length === 0) held.delete(cidr);
  }

  #add(held: Map<string, RouteInfo[]>, route: Route): void {
    const { cidr, device, via, source } = route;
    const ifindex = this.#devices.ifindex(device);
    if (ifindex === undefined) throw new Fault("no-device", `add route ${cidr}: there is no device ${device}`);
    if (!this.#network.addRoute(route)) {
      const hint = "see ip route show; Weir never replaces it";
      throw new Error(`add route ${cidr} on device ${device}: another route to it exists (${hint})`);
    }
    held.set(cidr, [
      { cidr, ifindex, via, source, metric: undefined, table: MAIN_TABLE, protocol: WEIR_ROUTE_PROTOCOL },
    ]);
    this.writes++;
  }

  #read(): Map<string, RouteInfo[]> {
    if (this.#held) return this.#held;
    this.#held = new Map();
    for (const route of this.#network.routes()) {
      const same = this.#held.get(route.cidr);
      if (same) same.push(route);
      else this.#held.set(route.cidr, [route]);
    }
    return this.#held;
  }

  #isThat(found: RouteInfo, { device, via, source }: Route): boolean {
    const ifindex = this.#devices.ifindex(device);
    return found.ifindex === ifindex && found.via === via && found.source === source;
  }
}

const MAIN_TABLE = 254;
