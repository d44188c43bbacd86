import { run } from "./weir.ts";

let count = 0;

/** Two namespaces connected by a Linux bridge in a third one. Pods' traffic is compared with theirs. */
export class Bridge {
  /** Paths of the two namespaces. */
  readonly ends: readonly [string, string];
  readonly addresses = ["10.99.0.1", "10.99.0.2"] as const;
  readonly #names: readonly string[];

  private constructor(id: string) {
    this.#names = ["a", "b", "net"].map((part) => `weir-${id}-${part}`);
    this.ends = [`/run/netns/${this.#names[0]}`, `/run/netns/${this.#names[1]}`];
  }

  /** Creates it. @param mtu of the devices, bytes at layer 3 */
  static async make(mtu: number): Promise<Bridge> {
    const bridge = new Bridge(`t${process.pid}b${++count}`);
    const net = bridge.#names[2] as string;
    const ends = bridge.#names.slice(0, 2);
    try {
      for (const name of bridge.#names) await run(["ip", "netns", "add", name]);
      const lines = ["link add br0 type bridge stp_state 0 forward_delay 0", `link set br0 mtu ${mtu} up`];
      for (const [i, end] of ends.entries()) {
        lines.push(`link add v${i} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${end}`);
        lines.push(`link set v${i} master br0 up`);
      }
      await run(["ip", "-n", net, "-batch", "-"], { input: `${lines.join("\n")}\n` });
      for (const [i, end] of ends.entries()) {
        const setUp = `addr add ${bridge.addresses[i]}/24 dev eth0\nlink set eth0 up\nlink set lo up\n`;
        await run(["ip", "-n", end, "-batch", "-"], { input: setUp });
      }
    } catch (error) {
      await bridge.close();
      throw error;
    }
    return bridge;
  }

  async close(): Promise<void> {
    for (const name of this.#names) await run(["ip", "netns", "del", name]).catch(() => "");
  }
}
