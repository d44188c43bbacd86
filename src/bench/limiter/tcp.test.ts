import { expect, test } from "vitest";
import { parseSender, parseServer } from "./tcp.ts";

test("a receiver's text: bytes of each flow by interval, without sums and summaries", () => {
  const text = `Server listening on 20000 (test #1)
[ ID] Interval           Transfer     Bitrate
[  5]   0.00-1.00   sec  1.50 MBytes  12.6 Mbits/sec
[  8]   0.00-1.00   sec   512 KBytes  4.19 Mbits/sec
[SUM]   0.00-1.00   sec  2.00 MBytes  16.8 Mbits/sec
- - - - - - - - -
[  5]   1.00-2.00   sec  0.00 Bytes  0.00 bits/sec
[  8]   1.00-2.00   sec   900 Bytes  7.20 Kbits/sec
[  5]   1.00-2.00   sec  0.00 Bytes  0.00 bits/sec
[  8]   1.00-2.00   sec   900 Bytes  7.20 Kbits/sec
[  5]   0.00-2.00   sec  1.50 MBytes  6.30 Mbits/sec                  receiver
`;
  expect(parseServer(text)).toEqual([
    { start: 0, end: 1, flows: [1.5 * 1024 ** 2, 512 * 1024] },
    { start: 1, end: 2, flows: [0, 900] },
  ]);
});

test("a sender's report: retransmissions, and times with the minimum window", () => {
  const streams = (start: number, windows: number[], retransmits: number) => ({
    streams: windows.map((snd_cwnd) => ({ start, end: start + 0.1, bytes: 1, snd_cwnd, retransmits })),
  });
  const report = {
    start: { tcp_mss_default: 1000 },
    intervals: [streams(0, [50_000, 60_000], 2), streams(0.1, [4000, 60_000], 0)],
    error: "interrupt - the client has terminated",
  };
  expect(parseSender(JSON.stringify(report))).toEqual({
    retransmits: [
      { start: 0, end: 0.1, count: 4 },
      { start: 0.1, end: 0.2, count: 0 },
    ],
    pauses: [{ start: 0.1, end: 0.2 }],
  });
});

test("a killed sender has no report", () => {
  expect(parseSender("")).toEqual({ retransmits: [], pauses: [] });
});
