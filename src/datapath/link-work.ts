import {
  allowVni,
  changeTc,
  createVeth,
  createVxlan,
  type DeviceInfo,
  handle,
  setLink,
  setOffloads,
  TC_ROOT,
  writeSysctl,
} from "../kernel/index.ts";
import type { Link, PairLink } from "../model/document.ts";
import { activatePod, enableIpv6 } from "./pods.ts";

/** Packets that wait on the delaying device, and how long one may, µs. */
const FQ = { limit: 1_000_000, flowLimit: 1_000_000, horizon: 60_000_000 };

/** The link's devices in this namespace. */
export const endsOf = (link: Link): string[] => (link.kind === "pair" ? [link.device, link.other] : [link.device]);

/** The MAC that its first end must have; undefined: any. */
export function macOf(link: Link): string | undefined {
  if (link.kind === "pod") return link.gatewayMac;
  return link.kind === "pair" && link.mac !== "" ? link.mac : undefined;
}

/** Makes a link's devices, down. */
export function makeLink(link: Link): void {
  const { device, mtu } = link;
  if (link.kind === "vxlan") {
    createVxlan({ name: device, port: link.port, vni: link.vni, mtu });
  } else if (link.kind === "pod") {
    const peer = { name: link.ifname, netns: link.netns, mac: link.mac, mtu };
    createVeth({ name: device, mac: link.gatewayMac, mtu, peer });
  } else {
    createVeth({ name: device, mtu, ...(link.mac ? { mac: link.mac } : {}), peer: { name: link.other, mtu } });
  }
}

/** Gives a link's devices their MAC and MTU. `now`: its first end. */
export function fitLink(link: Link, now: DeviceInfo): void {
  const { device, mtu } = link;
  const mac = macOf(link);
  if (mac !== undefined && now.mac !== mac) setLink(device, { mac });
  if (link.kind === "pair" && link.mac === "") return; // whoever queues packets there sets it
  if (link.kind === "pod") setLink(link.ifname, { mtu }, link.netns);
  for (const end of endsOf(link).toReversed()) setLink(end, { mtu });
}

/** Completes a link. A device that is up counts as done, also for the next agent: so it comes up last. */
export function activateLink(link: Link): void {
  if (link.kind === "pair") {
    activatePair(link);
    return;
  }
  silence(link.device);
  if (link.kind === "pod") activatePod(link);
  if (link.kind === "vxlan") allowVni(link.device, link.vni);
  setLink(link.device, { up: true });
}

function activatePair({ device, other, ipv6, offloads, qdisc }: PairLink): void {
  if (ipv6) enableIpv6(device);
  else silence(device);
  silence(other);
  // a checksum that is left for a device to fill in would hide what happens to the packet before it
  if (!offloads) setOffloads(device, { segmentation: false, txChecksum: false });
  if (qdisc) changeTc(device, [{ op: "set", kind: qdisc, handle: handle(1), parent: TC_ROOT, ...FQ }]);
  for (const name of [other, device]) setLink(name, { up: true });
}

/** The node's stack has no business on this device: without addresses it sends no discovery or group reports. */
function silence(device: string): void {
  writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, 1);
}
