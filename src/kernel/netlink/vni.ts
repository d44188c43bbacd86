import { ifindexOf } from "./link.ts";
import { attributes, FLAG, nest, u32, uint } from "./message.ts";
import { type At, perform, withNetlink } from "./socket.ts";

/** Which VNIs a VXLAN device with a filter accepts (`bridge vni`). */

const RTM = { newTunnel: 120, getTunnel: 122 };
const ENTRY = { entry: 1, start: 1, end: 2 };
const AF_BRIDGE = 7;
const HEADER = 8;

function header(ifindex: number): Buffer {
  const bytes = Buffer.alloc(HEADER);
  bytes.writeUInt8(AF_BRIDGE, 0);
  bytes.writeUInt32LE(ifindex, 4);
  return bytes;
}

/** Lets a VXLAN device accept a VNI. Idempotent. */
export function allowVni(device: string, vni: number, at?: At): void {
  withNetlink(at, (netlink) => {
    const body = Buffer.concat([header(ifindexOf(device, netlink)), nest(ENTRY.entry, u32(ENTRY.start, vni))]);
    const request = { type: RTM.newTunnel, flags: FLAG.request, body };
    perform(netlink, `let device ${device} take VNI ${vni}`, request, ["EEXIST"]);
  });
}

/** Whether a VXLAN device accepts a VNI. If it accepts several ranges, only the last one counts. */
export function acceptsVni(device: string, vni: number, at?: At): boolean {
  return withNetlink(at, (netlink) => {
    const entries = netlink.dump(RTM.getTunnel, header(ifindexOf(device, netlink)));
    return entries.some(({ body }) => {
      const entry = attributes(attributes(body.subarray(HEADER)).get(ENTRY.entry) ?? Buffer.alloc(0));
      const first = uint(entry, ENTRY.start);
      return first !== undefined && first <= vni && vni <= (uint(entry, ENTRY.end) ?? first);
    });
  });
}
