import { AF, formatAddress, parseCidr } from "./address.ts";
import { ifindexOf } from "./link.ts";
import { attr, attributes, FLAG, u32, uint } from "./message.ts";
import { type At, perform, withNetlink } from "./socket.ts";

const RTM = { new: 20, delete: 21, get: 22 };
const IFA = { address: 1, local: 2, flags: 8 };
const IFA_F = { noDad: 2, permanent: 0x80, tentative: 0x40, noPrefixRoute: 0x200 };
const SCOPE_LINK = 253;

export interface AddressOptions {
  /** IPv6: skips duplicate address detection, so that it is usable at once. Default: true. */
  noDad?: boolean;
  /** Adds no route for the prefix. */
  noPrefixRoute?: boolean;
}
export interface AddressInfo {
  ifindex: number;
  /** `10.0.0.1/24`. */
  cidr: string;
  /** IPv6 link-local and the like. */
  linkLocal: boolean;
  tentative: boolean;
}

function addressBody(ifindex: number, cidr: string, { noDad = true, noPrefixRoute = false }: AddressOptions): Buffer {
  const { family, bytes, prefix } = parseCidr(cidr);
  const flags = (noDad && family === AF.inet6 ? IFA_F.noDad : 0) | (noPrefixRoute ? IFA_F.noPrefixRoute : 0);
  const body = Buffer.alloc(8);
  body.set([family, prefix, flags & 0xff]);
  body.writeUInt32LE(ifindex, 4);
  return Buffer.concat([body, attr(IFA.local, bytes), attr(IFA.address, bytes), u32(IFA.flags, flags)]);
}

/** Adds an address to a device, unless it has it. @param cidr address and prefix length */
export function addAddress(device: string | number, cidr: string, options: AddressOptions = {}, at?: At): void {
  withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const flags = FLAG.request | FLAG.create | FLAG.replace;
    const request = { type: RTM.new, flags, body: addressBody(ifindex, cidr, options) };
    perform(netlink, `add address ${cidr} to device ${device}`, request, ["EEXIST"]);
  });
}

/** Returns false if the device did not have the address. */
export function removeAddress(device: string | number, cidr: string, at?: At): boolean {
  return withNetlink(at, (netlink) => {
    const ifindex = typeof device === "string" ? ifindexOf(device, netlink) : device;
    const request = { type: RTM.delete, flags: FLAG.request, body: addressBody(ifindex, cidr, {}) };
    return perform(netlink, `remove address ${cidr} from device ${device}`, request, ["EADDRNOTAVAIL"]);
  });
}

/** Addresses of all devices, or of one by index. */
export function addresses(at?: At, ifindex?: number): AddressInfo[] {
  return withNetlink(at, (netlink) =>
    netlink
      .dump(RTM.get, Buffer.alloc(8))
      .flatMap(({ body }) => {
        const found = attributes(body.subarray(8));
        const bytes = found.get(IFA.local) ?? found.get(IFA.address);
        if (!bytes) return [];
        const flags = uint(found, IFA.flags) ?? body.readUInt8(2);
        return [
          {
            ifindex: body.readUInt32LE(4),
            cidr: `${formatAddress(bytes)}/${body.readUInt8(1)}`,
            linkLocal: body.readUInt8(3) === SCOPE_LINK,
            tentative: (flags & IFA_F.tentative) !== 0,
          },
        ];
      })
      .filter((address) => ifindex === undefined || address.ifindex === ifindex),
  );
}
