import koffi from "koffi";
import { inNamespace, links, namespacePath } from "../../../kernel/index.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;

/** Sends a frame unchanged, even if malformed, from a device of a namespace. */
export function inject(namespace: string, device: string, frame: Buffer): void {
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int, int, int)");
  const sendto = libc.func("int64_t sendto(int, const void *, size_t, int, const void *, uint32_t)");
  const close = libc.func("int close(int)");
  inNamespace(namespacePath(namespace), () => {
    const to = Buffer.alloc(20); // struct sockaddr_ll
    to.writeUInt16LE(AF_PACKET, 0);
    to.writeInt32LE(links().find((link) => link.name === device)?.ifindex ?? 0, 4);
    const fd = socket(AF_PACKET, SOCK_RAW, 0) as number;
    const sent = Number(sendto(fd, frame, frame.length, 0, to, to.length));
    close(fd);
    if (sent !== frame.length) throw new Error(`send a frame out of ${device}: ${sent} of ${frame.length} bytes`);
  });
}
