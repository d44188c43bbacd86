import {
  addRoute,
  type NetworkNews,
  type RouteInfo,
  removeRoute,
  routes,
  WEIR_ROUTE_PROTOCOL,
} from "../kernel/index.ts";
import { each, type Failure } from "./failure.ts";

/** A kernel route that the node should have. */
export interface WantedRoute {
  cidr: string;
  device: string;
  via?: string | undefined;
  source?: string | undefined;
}

const keyOf = ({ cidr, device, via = "", source = "" }: WantedRoute): string => [cidr, device, via, source].join(" ");

/** The node's routes of Weir's protocol number. Others' are never replaced or removed, and may stand in the way. */
export class Routes {
  /** Routes added or removed so far. */
  writes = 0;
  #wanted: ReadonlyMap<string, WantedRoute> = new Map();
  #cidrs: ReadonlySet<string> = new Set();

  /** Makes them exactly the wanted ones. `nameOf`: a device's name by its index. */
  ensure(wanted: readonly WantedRoute[], nameOf: (ifindex: number) => string): Failure[] {
    this.#wanted = new Map(wanted.map((route) => [keyOf(route), route]));
    this.#cidrs = new Set(wanted.map(({ cidr }) => cidr));
    const stale = held(nameOf);
    const missing = [...this.#wanted].filter(([key]) => !stale.delete(key)).map(([, route]) => route);
    const failures = each(missing, (route) => {
      // one that leads elsewhere goes at the last moment, so that packets miss it as shortly as may be
      for (const [key, old] of stale) if (old.cidr === route.cidr) this.#remove(stale, key, old);
      this.#add(route);
    });
    const rest = [...stale].map(([key, old]) => ({ device: nameOf(old.ifindex ?? 0), key, old }));
    return [...failures, ...each(rest, ({ key, old }) => this.#remove(stale, key, old))];
  }

  /** Are the node's routes other than they were left? */
  isStale(nameOf: (ifindex: number) => string): boolean {
    const now = held(nameOf);
    return now.size !== this.#wanted.size || [...now.keys()].some((key) => !this.#wanted.has(key));
  }

  /** May the news be of one of them? */
  concerns({ route }: Extract<NetworkNews, { kind: "route" }>): boolean {
    return route.protocol === WEIR_ROUTE_PROTOCOL || this.#cidrs.has(route.cidr);
  }

  #add(route: WantedRoute): void {
    if (!addRoute(route)) {
      const hint = "ip route show tells whose; Weir leaves it";
      throw new Error(`add route ${route.cidr} on device ${route.device}: there is another's (${hint})`);
    }
    this.writes++;
  }

  #remove(stale: Map<string, RouteInfo>, key: string, { cidr, ifindex, metric }: RouteInfo): void {
    removeRoute({ cidr, device: ifindex, metric });
    stale.delete(key);
    this.writes++;
  }
}

function held(nameOf: (ifindex: number) => string): Map<string, RouteInfo> {
  const own = routes(undefined, WEIR_ROUTE_PROTOCOL);
  return new Map(own.map((route) => [keyOf({ ...route, device: nameOf(route.ifindex ?? 0) }), route]));
}
