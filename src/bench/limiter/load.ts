import { receive, send } from "../traffic/traffic.ts";
import { MTU, type Path } from "./bed.ts";
import { TcpLoad } from "./tcp.ts";
import { firstArrival, type Reading, type Times } from "./watch.ts";

/** Greedy TCP flows, or one socket's datagrams. */
export interface Load {
  protocol: "tcp" | "udp";
  congestion?: string | undefined;
  flows: number;
}

/** A load's name. */
export const loadText = ({ protocol, congestion, flows }: Load): string =>
  protocol === "udp" ? "udp" : `${congestion}×${flows}`;

const PORT = 9000;

export interface RunningLoad {
  /** Stops it. Returns BBR's pauses by the clock of the receiver's readings, which began before it or soon after. */
  stop(readings: readonly Reading[]): Promise<readonly Times[]>;
}

/** Starts a load on a path. @param offered bit/s at layer 3 that UDP offers */
export async function startLoad(path: Path, load: Load, offered: number): Promise<RunningLoad> {
  if (load.protocol === "tcp") {
    const { congestion = "cubic", flows } = load;
    const running = await TcpLoad.start({ ...path, congestion, flows, interval: congestion === "bbr" ? 0.1 : 1 });
    return { stop: async (readings) => shifted((await running.stop()).pauses, firstArrival(readings)) };
  }
  const sink = await receive(path.to, { port: PORT, mtu: MTU });
  const common = { address: path.address, port: PORT, mtu: MTU, sizes: [MTU - 28], seconds: 3600 };
  const source = await send(path.from, { ...common, rate: offered });
  return {
    stop: async () => {
      await source.stop();
      await sink.stop();
      return [];
    },
  };
}

/** Converts seconds since the start of a load to ms of the clock of `begin`. */
const shifted = (spans: readonly Times[], begin: number): Times[] =>
  spans.map(({ start, end }) => ({ start: begin + 1000 * start, end: begin + 1000 * end }));
