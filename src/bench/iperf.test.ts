import { describe, expect, test } from "vitest";
import {
  errorOf,
  firstSecond,
  goodput,
  headerBytes,
  iperfArgv,
  layer3,
  outside,
  parseFlow,
  untilServed,
} from "./iperf.ts";

const second = (start: number, bytes: number, length = 1) => ({ start, end: start + length, bytes });

test("goodput excludes the first second and an incomplete last interval", () => {
  const intervals = [second(0, 500), second(1, 100), second(2, 120), second(3, 9000, 0.01)];
  expect(goodput({ intervals }, 1)).toBe(880);
  expect(goodput({ intervals })).toBe(1920);
  expect(firstSecond({ intervals })).toBe(4000);
  expect(goodput({ intervals: [] })).toBe(0);
});

test("seconds that overlap a pause are excluded, allowing for different clocks", () => {
  const intervals = [0, 1, 2, 3].map((start) => second(start, 100));
  expect(outside(intervals, [{ start: 2.05, end: 2.15 }])).toEqual([second(0, 100), second(3, 100)]);
  expect(outside(intervals, [])).toEqual(intervals);
});

test.each([
  [4, "tcp", 1500, 52],
  [6, "tcp", 1450, 72],
  [4, "udp", 1500, 28],
  [6, "udp", 1450, 48],
] as const)("layer 3 of IPv%i %s at MTU %i", (family, protocol, mtu, headers) => {
  expect(headerBytes(family, protocol)).toBe(headers);
  expect(layer3(mtu - headers, mtu, family, protocol)).toBeCloseTo(mtu);
});

describe("iperf3", () => {
  test("arguments", () => {
    const base = { from: "a", to: "b", seconds: 3 };
    expect(iperfArgv({ ...base, congestion: "bbr", flows: 8, length: 4096 }, "fd00::1").slice(1)).toEqual([
      "-c",
      "fd00::1",
      "-p",
      "5201",
      "-J",
      "--get-server-output",
      "-t",
      "3",
      "-P",
      "8",
      "-C",
      "bbr",
      "-l",
      "4096",
    ]);
    expect(iperfArgv({ ...base, protocol: "udp", rate: 1e6, server: 1, congestion: "bbr" }, "10.0.0.1")).toEqual(
      expect.arrayContaining(["-u", "-b", "1000000", "5202"]),
    );
  });

  test.each([
    ["an error that it reports", { code: 0, stdout: '{"error":"boom"}' }, "boom"],
    ["a code", { code: 1, stdout: "{}" }, "said"],
    ["no report", { code: null, stdout: "" }, "said"],
    ["nothing wrong", { code: 0, stdout: "{}" }, undefined],
  ])("%s", (_, ended, error) => {
    expect(errorOf({ ...ended, stderr: "said" })).toBe(error);
  });

  test("a client is retried until its server is ready, but not after another error", async () => {
    const answers = ["Connection refused", "the server is busy", "boom"];
    const client = async () => ({ code: 0, stderr: "", stdout: JSON.stringify({ error: answers.shift() }) });
    await expect(untilServed(["iperf3"], client)).rejects.toThrow("boom");
    expect(answers).toEqual([]);
  });

  test("a report of the receiver", () => {
    const sum = { start: 0, end: 1, seconds: 1, bytes: 7 };
    const stream = (start: number, snd_cwnd: number) => ({ start, end: start + 0.1, snd_cwnd });
    const report = {
      start: { tcp_mss_default: 1448 },
      intervals: [{ streams: [stream(0, 80_000), stream(0, 5792)] }, { streams: [stream(0.1, 5793)] }],
      server_output_json: { intervals: [{ sum }] },
      end: { sum_sent: { bytes: 7, retransmits: 2 } },
    };
    expect(parseFlow(JSON.stringify(report))).toMatchObject({
      intervals: [{ start: 0, end: 1, bytes: 7 }],
      mss: 1448,
      retransmits: 2,
      pauses: [{ start: 0, end: 0.1 }],
    });
  });
});
