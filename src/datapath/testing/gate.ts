import { execFileSync } from "node:child_process";
import type { Bench } from "./bench.ts";

/** A queue on one of the panel's pairs that holds all packets until it is opened. */
export class Gate {
  readonly #bench: Bench;
  readonly #device: string;

  constructor(bench: Bench, device: string) {
    this.#bench = bench;
    this.#device = device;
    // packets from the stack would be counted as waiting
    bench.run(bench.node, "sysctl", "-qw", `net.ipv6.conf.${device}.disable_ipv6=1`);
    this.#tc("add", "rate", "8bit", "burst", "200");
  }

  /** The number of queued packets. */
  waiting(): number {
    const out = execFileSync("tc", ["-n", this.#bench.node, "-s", "-j", "qdisc", "show", "dev", this.#device]);
    const [{ qlen }] = JSON.parse(String(out)) as [{ qlen: number }];
    return qlen;
  }

  /**
   * Releases all packets. A changed rate only applies from the next packet on, so an ARP request is sent, which no port
   * accepts.
   */
  open(): void {
    this.#tc("change", "rate", "1gbit", "burst", "1mb");
    this.#bench.ip("addr", "add", "10.99.0.1/24", "dev", this.#device);
    this.#bench.run(this.#bench.node, "sh", "-c", "ping -c 1 -W 0.01 10.99.0.2 || :");
    this.#bench.ip("addr", "del", "10.99.0.1/24", "dev", this.#device);
  }

  close(): void {
    this.#bench.run(this.#bench.node, "tc", "qdisc", "del", "dev", this.#device, "root");
  }

  #tc(op: "add" | "change", ...shape: string[]): void {
    const what = ["dev", this.#device, "root", "handle", "1:", "tbf", ...shape, "limit", "1mb"];
    this.#bench.run(this.#bench.node, "tc", "qdisc", op, ...what);
  }
}
