import type { NetworkFunction } from "../../model/function.ts";
import { ROUTER } from "./names.ts";

/** Routes between the node's pods, other nodes and the node's own stack. */
export const router: NetworkFunction = {
  name: ROUTER,
  kind: "standard",
  summary: "routes between pods, nodes and the host: neighbours, TTL, ICMP errors, source check",
  tables: ["weir_tunnels", "weir_rt_hosts", "weir_rt_routes", "weir_rt_ports"],
};
