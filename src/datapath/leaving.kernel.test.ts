import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ethernet, ip, udp } from "../../test/packets.ts";
import type { Port } from "../model/document.ts";
import { type Act, World } from "./testing/acting.ts";
import { document } from "./testing/bench.ts";

let world: World;
beforeAll(() => {
  world = new World();
});
afterAll(() => world?.close());

/** A tap on va without its programs. Packets are passed to them by test runs, in which the packet has a socket. */
describe("a packet is discarded without an error to the sending TCP", () => {
  const SHOT = 2;
  const REDIRECT = 7;
  const GONE = 0x08000000;
  const LINK = { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" };
  const PACKET = ethernet(LINK, ip({ src: "10.9.0.1", dst: "10.9.0.2" }, udp({ sport: 1, dport: 2 })));
  const end = (how: Act, program: "tapEgress" | "tapIngress") => {
    world.act("t1", how);
    const back: Port = {
      instance: "tap",
      name: "a",
      peer: { kind: "back", device: "va" },
      entry: "va",
      ingress: ["t1"],
      egress: ["t1"],
    };
    world.apply(document([back]));
    const ctx = { ifindex: world.bench.ifindex("va") ?? 0 };
    return world.bench.inNode(() => world.panel.programs[program].testRun({ data: PACKET, ctx }));
  };

  const ways: [string, Act][] = [
    ["dropped", { verdict: "drop", arg: 15 }],
    ["held as a copy", { verdict: "hold", device: "weir_shape0" }],
    ["given to userspace", { verdict: "up", arg: 1 }],
  ];
  test.each(ways)("%s: on a device's egress it is discarded behind the recirculation pair", (_how, how) => {
    const { retval, ctx } = end(how, "tapEgress");
    expect([retval, ctx.mark]).toEqual([REDIRECT, GONE]);
  });
  test.each(ways)("%s: elsewhere it is discarded at once", (_how, how) => {
    expect(end(how, "tapIngress").retval).toBe(SHOT);
  });
});
