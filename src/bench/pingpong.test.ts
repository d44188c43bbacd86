import { expect, test } from "vitest";
import { LOST, parsePing } from "./pingpong.ts";

const line = (ms: string) => `64 bytes from 10.0.0.1: icmp_seq=1 ttl=63 time=${ms} ms\n`;
const summary = (sent: number, received: number) =>
  `--- 10.0.0.1 ping statistics ---\n${sent} packets transmitted, ${received} received, 0% packet loss, time 9ms\n`;

test("times of answers, in µs", () => {
  expect(parsePing(line("0.004") + line("1.5") + line("12") + summary(3, 3))).toMatchObject({
    count: 3,
    lost: 0,
    p50: 1500,
    max: 12_000,
  });
});

test("a lost ping counts as a long one, except the last if it is still awaited", () => {
  expect(parsePing(line("1") + summary(2, 1))).toMatchObject({ count: 1, lost: 0 });
  expect(parsePing(line("1") + summary(4, 1))).toMatchObject({ count: 3, lost: 2, max: LOST });
});

test("other text is an error", () => {
  expect(() => parsePing("connect: Network is unreachable")).toThrow("no summary");
});
