import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { binomialTest } from "../../model/statistics.ts";
import { Node } from "../testing/node.ts";
import { impairInstance } from "./impair.ts";
import { B, ID, rule, UNLIKELY } from "./testing/bench.ts";

let node: Node;
beforeAll(() => {
  node = new Node();
});
afterAll(() => node?.close());

describe("real packets", () => {
  const COUNT = 100;
  const UDP = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const counters = (): { taken: number; bad: number } => {
    const snmp = node.run("b", "cat", "/proc/net/snmp", "/proc/net/snmp6");
    const [names, values] = snmp.split("\n").filter((line) => line.startsWith("Udp: "));
    const v4 = new Map((names ?? "").split(" ").map((name, i) => [name, Number((values ?? "").split(" ")[i])]));
    const v6 = (name: string) => Number(new RegExp(`Udp6${name}\\s+(\\d+)`).exec(snmp)?.[1] ?? 0);
    return {
      taken: (v4.get("NoPorts") ?? 0) + v6("NoPorts"),
      bad: (v4.get("InCsumErrors") ?? 0) + v6("InCsumErrors"),
    };
  };
  /** Datagrams to a port where nobody listens: the kernel counts good ones and bad ones apart. */
  const send = (address: string): void => {
    const loop = `for i in {1..${COUNT}}; do echo "datagram $i of this test" > /dev/udp/${address}/9; done`;
    node.run("a", "bash", "-c", loop);
    node.run("a", "sleep", "0.2");
  };

  test.each([
    ["every one corrupted is seen to be", "egress", B.v4, { corrupt: 1 }, 0, COUNT],
    ["the same over IPv6", "egress", B.v6, { corrupt: 1 }, 0, COUNT],
    ["every one sent twice arrives twice", "egress", B.v4, { duplicate: 1 }, 2 * COUNT, 0],
    ["the same over IPv6", "egress", B.v6, { duplicate: 1 }, 2 * COUNT, 0],
    ["an effect that does nothing", "egress", B.v4, { loss: { model: "uniform", probability: 0 } }, COUNT, 0],
  ] as const)("%s (%s, %s)", (_what, direction, address, effects, taken, bad) => {
    node.applyRules({ impairments: { a: [rule(direction, effects, { match: UDP })] } });
    const before = counters();
    send(address);
    const after = counters();
    expect({ taken: after.taken - before.taken, bad: after.bad - before.bad }).toEqual({ taken, bad });
  });
});

describe("a flood of datagrams between the pods", () => {
  const match = { ports: [{ protocol: "UDP", side: "either" }] } as const;
  const COUNT = 100_000;
  /** Datagrams that came to pod b, where nobody listens. */
  const arrived = (family: 4 | 6): number => {
    const text = node.run("b", "cat", "/proc/net/snmp", "/proc/net/snmp6");
    if (family === 6) return Number(/Udp6NoPorts\s+(\d+)/.exec(text)?.[1]);
    const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Udp: "));
    return Number(values.split(" ")[names.split(" ").indexOf("NoPorts")]);
  };
  /** Without a receiver there is no handshake that could be lost. A refusal that comes back costs one more try. */
  const flood = (address: string): void => {
    const send = `for ((i = 0; i < ${COUNT}; i++)); do echo datagram >&3 || echo datagram >&3; done`;
    node.run("a", "bash", "-c", `exec 3>/dev/udp/${address}/9; ${send}`);
    node.run("a", "sleep", "0.3");
  };

  test.each([
    ["egress", 4, B.v4, 0.2],
    ["ingress", 6, B.v6, 0.02],
  ] as const)(
    "%s, IPv%d: as many are lost as should be, and the others arrive",
    (direction, family, address, probability) => {
      const pod = direction === "egress" ? "a" : "b";
      node.applyRules({}); // counters go with their rule
      node.applyRules({
        impairments: { [pod]: [rule(direction, { loss: { model: "uniform", probability } }, { match })] },
      });
      const name = impairInstance(node.endpoint(pod).device, direction, ID);
      const table = node.panel.table("weir_impair_use");
      const key = table.key.encode({ instance: node.panel.names.id("instance", name) });
      const before = arrived(family);
      flood(address);
      const { packets, lost } = table.value.decode(table.lookup(key) ?? Buffer.alloc(0)) as Record<
        "packets" | "lost",
        bigint
      >;
      expect(Number(packets)).toBeGreaterThanOrEqual(COUNT);
      expect(binomialTest(Number(lost), Number(packets), probability)).toBeGreaterThan(UNLIKELY);
      expect(arrived(family) - before).toBe(Number(packets - lost));
    },
  );
});
