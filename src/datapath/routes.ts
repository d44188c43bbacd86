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

/** The node's routes of Weir's protocol number. Others' are never replaced or removed, and may stand in the way. */
export class Routes {
  /** Routes added or removed so far. */
  writes = 0;
  readonly retry: Backoff;
  readonly #network: Network;
  readonly #devices: Devices;
  readonly #outcomes: Outcomes;
  readonly #wanted = new Map<string, Wanted>();
  readonly #byDevice = new Dependents();
  readonly #due = new Set<string>();
  readonly #failed = new Set<string>();
  /** Routes that the kernel has, by CIDR; read at first, and when they may be other ones. */
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

  /** Is there a route by this device? */
  names(device: string): boolean {
    return this.#byDevice.has(device);
  }

  take({ owner, item, gone }: Change<Route>): void {
    if (gone) this.#wanted.delete(item.cidr);
    else this.#wanted.set(item.cidr, { owner, item });
    this.#byDevice.set(item.cidr, gone ? [] : [item.device]);
    this.#due.add(item.cidr);
  }

  /** The kernel takes routes of a device that goes down, and does not tell. */
  follow(devices: ReadonlySet<string>): void {
    for (const device of devices) {
      for (const cidr of this.#byDevice.of(device)) {
        this.#held = undefined;
        this.#due.add(cidr);
      }
    }
  }

  /** All are compared with the kernel's in the next pass. */
  doubt(): void {
    this.#held = undefined;
    for (const cidr of this.#wanted.keys()) this.#due.add(cidr);
  }

  tryAgain(): void {
    for (const cidr of this.#failed) this.#due.add(cidr);
  }

  /** True if a route is other than it was left; an address that goes may take routes along, unheard. */
  noticed(news: Extract<NetworkNews, { kind: "route" | "address" }>): boolean {
    if (news.kind === "address") {
      const isConcerned = [...this.#wanted.values()].some(({ item }) => item.source !== undefined);
      if (isConcerned) this.doubt();
      return isConcerned;
    }
    const { route, gone } = news;
    const wanted = this.#wanted.get(route.cidr);
    const isOwn = route.protocol === WEIR_ROUTE_PROTOCOL;
    if (!isOwn && !(gone && this.#failed.has(route.cidr))) return false;
    const isHeld = wanted !== undefined && this.#isThat(route, wanted.item);
    if (isOwn && gone !== isHeld) return false;
    this.#held = undefined;
    this.#due.add(route.cidr);
    return true;
  }

  /** Makes them the wanted ones. @param whole all that is wanted is known: others of Weir's are of nobody */
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

  /** One that leads elsewhere goes at the last moment, so that packets miss it as shortly as may be. */
  #ensureOne(cidr: string, wanted: Route | undefined): void {
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
      const hint = "ip route show tells whose; Weir leaves it";
      throw new Error(`add route ${cidr} on device ${device}: there is another's (${hint})`);
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
