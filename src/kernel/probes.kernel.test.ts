import { release } from "node:os";
import { expect, test } from "vitest";
import { inFreshNamespace } from "./namespace.ts";
import { has } from "./netlink/probe.ts";
import { Netlink } from "./netlink/socket.ts";
import { atLeast, examine, runProbes } from "./probes.ts";
import { asNobody, openFds } from "./testdata/harness.ts";

const results = runProbes();

test.each(results.filter(({ certain, minimum }) => certain && minimum !== null && atLeast(release(), minimum)))(
  "$name is there: the kernel is at or above $minimum",
  ({ available, detail }) => {
    expect({ available, detail }).toMatchObject({ available: true });
  },
);

test.each(results.filter(({ certain, minimum }) => certain && minimum !== null && !atLeast(release(), minimum)))(
  "$name is not there: the kernel is below $minimum",
  ({ available }) => {
    expect(available).toBe(false);
  },
);

test("unknown kinds of devices and qdiscs are absent", () => {
  const netlink = inFreshNamespace(() => Netlink.open());
  expect(has(netlink, "qdisc", "weir_none")).toMatchObject({ available: false });
  expect(has(netlink, "device", "weir_none")).toMatchObject({ available: false });
  netlink.close();
});

test("without privilege the probes report that", () => {
  const seen = asNobody(runProbes).find(({ name }) => name === "tcx links");
  const detail = "could not be probed: EPERM";
  expect(seen).toMatchObject({ available: false, detail, hint: `unknown: it ${detail}` });
  expect(asNobody(examine).ok).toBe(false);
  const namespaces = (all: typeof results) => all.find(({ name }) => name === "processes' namespaces");
  expect(namespaces(results)?.available).toBe(true);
  expect(namespaces(asNobody(runProbes))).toMatchObject({
    available: false,
    hint: expect.stringMatching("SYS_PTRACE"),
  });
});

test("an absent feature has a consequence, a present one has none", () => {
  for (const { available, hint, consequence, detail } of results) {
    expect(hint).toBe(available ? null : `${consequence} (${detail})`);
    expect(detail).not.toBe("");
  }
});

test("this machine can run Weir; probing leaves nothing", () => {
  const before = openFds();
  const { ok, kernel, probes } = examine();
  expect({ ok, kernel }).toEqual({ ok: true, kernel: release() });
  expect(probes.map(({ name, available }) => [name, available])).toEqual(
    results.map(({ name, available }) => [name, available]),
  );
  expect(openFds()).toBe(before);
});

test.each([
  ["6.1.0-18-amd64", "6.6", false],
  ["6.18.44", "6.6", true],
  ["6.6.0", "6.6", true],
  ["5.15.0", "6.1", false],
  ["6.1", "6.1.3", false],
  ["10.0", "9.9.9", true],
])("%s is at least %s: %s", (kernel, version, expected) => {
  expect(atLeast(kernel, version)).toBe(expected);
});
