import { ip, tcp } from "../../../test/packets.ts";
import type { Asked, Told, Tracker } from "./tracking.ts";

/** TCP flags. */
export const [FIN, SYN, SYN_ACK, RST, RST_ACK, ACK] = [0x11, 0x02, 0x12, 0x04, 0x14, 0x10] as const;

/** One TCP connection, of which a tracker sees chosen segments. */
export class Connection {
  readonly zone: number;
  readonly #tracker: Tracker;
  readonly #src = "10.0.0.1";
  readonly #dst = "10.0.0.2";

  /** @param zone one that no other flow uses */
  constructor(tracker: Tracker, zone: number) {
    this.#tracker = tracker;
    this.zone = zone;
  }

  /** Sends a segment from the initiator. */
  out(flags: number, seq: number, ack = 0, more: Asked = {}): Told {
    const segment = tcp({ sport: 4000, dport: 80, flags, seq, ack });
    return this.#tracker.track(ip({ src: this.#src, dst: this.#dst }, segment), { zone: this.zone, ...more });
  }

  /** Sends a segment from the responder. */
  back(flags: number, seq: number, ack = 0, more: Asked = {}): Told {
    const segment = tcp({ sport: 80, dport: 4000, flags, seq, ack });
    return this.#tracker.track(ip({ src: this.#dst, dst: this.#src }, segment), { zone: this.zone, ...more });
  }

  /** Opens the connection. The initiator's sequence numbers continue at 1001, the responder's at 5001. */
  open(): this {
    this.out(SYN, 1000);
    this.back(SYN_ACK, 5000, 1001);
    this.out(ACK, 1001, 5001);
    return this;
  }
}
