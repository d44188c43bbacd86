import { type ClusterState, type Tap, tapPort } from "../../model/cluster.ts";
import type { Contribution, Port } from "../../model/desired.ts";
import type { NetworkFunction } from "../../model/function.ts";
import { memo } from "../../model/memo.ts";

/** Ports on pods' devices of other networks: their packets pass the chains and go on where they were going. */
export const tap: NetworkFunction = {
  name: "tap",
  kind: "standard",
  summary: "lets packets of pods of other networks pass the chains, and hands them back",
  tables: [],
  desired({ taps }: ClusterState): Contribution {
    if (taps.length === 0) return {};
    return { instances: [{ name: "tap", function: "tap" }], ports: taps.map((one) => port(one)) };
  },
};

const port = memo((one: Tap): Port => {
  const [instance = "", name = ""] = tapPort(one).split(":");
  return { instance, name, peer: { kind: "back", device: one.device }, entry: one.device, ingress: [], egress: [] };
});
