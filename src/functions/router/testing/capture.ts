import koffi from "koffi";
import { inNamespace, links, namespacePath } from "../../../kernel/index.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL = 3;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
/** Receive buffer, bytes. */
const ROOM = 256 * 1024 * 1024;

/** Captures the packets of a device as its stack sees them: before segmentation, on egress. */
export class Capture {
  readonly #libc = koffi.load("libc.so.6");
  readonly #socket: number;

  constructor(namespace: string, device: string) {
    const socket = this.#libc.func("int socket(int, int, int)");
    const bind = this.#libc.func("int bind(int, const void *, uint32_t)");
    const setsockopt = this.#libc.func("int setsockopt(int, int, int, const void *, uint32_t)");
    const room = Buffer.alloc(4);
    room.writeInt32LE(ROOM);
    const here = Buffer.alloc(20); // struct sockaddr_ll
    here.writeUInt16LE(AF_PACKET, 0);
    here.writeUInt16BE(ETH_P_ALL, 2);
    this.#socket = inNamespace(namespacePath(namespace), () => {
      here.writeInt32LE(links().find((link) => link.name === device)?.ifindex ?? 0, 4);
      const fd = socket(AF_PACKET, SOCK_RAW, 0) as number;
      const failed = setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, room, 4) !== 0 || bind(fd, here, here.length) !== 0;
      if (fd < 0 || failed) throw new Error(`capture packets of ${device}: errno ${koffi.errno()}`);
      return fd;
    });
  }

  /** Lengths of the frames since the last call. */
  lengths(): number[] {
    const recv = this.#libc.func("long recv(int, void *, size_t, int)");
    const head = Buffer.alloc(64);
    const found: number[] = [];
    for (;;) {
      const length = Number(recv(this.#socket, head, head.length, MSG_TRUNC | MSG_DONTWAIT));
      if (length < 0) return found;
      found.push(length);
    }
  }

  close(): void {
    this.#libc.func("int close(int)")(this.#socket);
  }
}
