/** Why packets are dropped: `enum weir_drop_reason` of bpf/drop.h in words. */
export interface DropReason {
  /** The enum's name without its prefix, in lower case, e.g. `no_route`. */
  name: string;
  meaning: string;
  /** What to look at. */
  hint: string;
}

/** Index is the enum's value; append only. */
export const dropReasons: readonly DropReason[] = [
  { name: "none", meaning: "not dropped", hint: "never counted" },
  { name: "port_down", meaning: "the port has no peer", hint: "weir get ports shows the peers" },
  {
    name: "no_port",
    meaning: "the device belongs to no port",
    hint: "the pod is being made or removed; weir get endpoints",
  },
  {
    name: "no_function",
    meaning: "the function's program is not loaded",
    hint: "weir status says what could not be loaded",
  },
  {
    name: "loop",
    meaning: "the packet went round too often",
    hint: "weir get topology -o yaml shows how ports are connected",
  },
  { name: "delivery", meaning: "the device refused the packet", hint: "the device is gone or down; weir get problems" },
  {
    name: "malformed",
    meaning: "headers are cut short or contradict each other",
    hint: "the sender builds broken packets",
  },
  {
    name: "protocol",
    meaning: "neither IPv4, IPv6, ARP nor neighbour discovery",
    hint: "other protocols are not routed",
  },
  {
    name: "spoofed",
    meaning: "the source address is not the pod's",
    hint: "a pod may send from its own addresses alone",
  },
  { name: "no_route", meaning: "no route to the destination", hint: "no pod and no node has the address" },
  { name: "ttl", meaning: "TTL or hop limit ran out", hint: "traceroute does this on purpose; else a loop" },
  {
    name: "too_big",
    meaning: "larger than the path's MTU and must not be fragmented",
    hint: "the sender was told the MTU by ICMP",
  },
  { name: "multicast", meaning: "multicast and broadcast are not routed", hint: "pods reach each other by unicast" },
  { name: "link_local", meaning: "link-local addresses are not routed", hint: "use the pod's routable addresses" },
  {
    name: "neighbour",
    meaning: "ARP or neighbour discovery for an address that is not the gateway's",
    hint: "all of a pod's traffic goes through its gateway",
  },
  {
    name: "rate_limit",
    meaning: "over the pod's bandwidth limit, or an impairment's pace: its queue is full",
    hint: "weir get limits shows the rates and how much each dropped, weir get impairments the paces",
  },
  {
    name: "slow_path",
    meaning: "the slow path is full or over its rate",
    hint: "too many packets that need an answer of the router",
  },
  { name: "flow_table", meaning: "no room for the flow, or its tuple is taken", hint: "too many connections at once" },
  { name: "icmp_limit", meaning: "an ICMP error was due but over the port's rate", hint: "expected under a flood" },
  { name: "traced", meaning: "end of a read-only run", hint: "made by a trace, not by traffic" },
  {
    name: "tunnel",
    meaning: "from a pod to the tunnel port of a node",
    hint: "nodes believe what comes in there; a pod's own tunnel needs another UDP port or ends at a pod",
  },
  {
    name: "impaired",
    meaning: "lost on purpose: an impairment of the pod asks for it",
    hint: "weir get impairments shows the rules and what they did",
  },
  {
    name: "custom",
    meaning: "a user's own program dropped it: a rule of the pod asks for that program",
    hint: "weir get programs shows the rules and what they did",
  },
];
