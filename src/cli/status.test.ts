import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Doctor } from "../api/schemas.ts";
import { MemoryBackend } from "../api/testing/memory.ts";
import { Machine } from "./testing/harness.ts";
import { shop } from "./testing/samples.ts";

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.create();
});
afterEach(() => machine.close());

describe("weir status", () => {
  test("shows ready agents", async () => {
    await machine.agent("node-10", {}, "a");
    await machine.agent("node-2", {}, "a");
    const { code, out } = await machine.run(["status", "--lab", "a"]);
    expect(code).toBe(0);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      NODE     STATE  PODS  ROWS  PROBLEMS  VERSION  KERNEL
      node-2   ready     0     0         0  0.1.0    6.1.0-18-amd64
      node-10  ready     0     0         0  0.1.0    6.1.0-18-amd64
      "
    `);
    const json = JSON.parse((await machine.run(["status", "--lab", "a", "-o", "json"])).out);
    expect(json.items).toMatchObject([{ node: "node-2", state: "ready", abi: 1 }, { node: "node-10" }]);
  });

  test("shows problems, and fails unless ready", async () => {
    const backend = await machine.agent("node-1");
    backend.state.status = {
      ...backend.state.status,
      state: "degraded",
      reason: "1 row failed",
      problems: shop().problems ?? [],
    };
    const { code, out, err } = await machine.run(["status", "-o", "wide"]);
    expect({ code, err }).toEqual({ code: 1, err: "weir: node-1: 1 row failed\n" });
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      NODE    STATE     PODS  ROWS  PENDING  FAILED  PROBLEMS  VERSION  ABI  KERNEL           PID  STARTED
      node-1  degraded     0     0        0       0         1  0.1.0      1  6.1.0-18-amd64  4242  2026-01-02T03:04:05.000Z

      NODE    OBJECT          FIELD                 PROBLEM
      node-1  Pod/shop/web-9  metadata.labels.rate  read "x": no rate\\u{1b}[31m\\n
      "
    `);
  });

  test("--wait waits for agents that do not exist yet or are not ready", async () => {
    const backend = new MemoryBackend("node-1");
    backend.state.status.state = "starting";
    const steps = [
      () => machine.serve(backend),
      async () => {},
      async () => void Object.assign(backend.state.status, { state: "ready" }),
    ];
    let slept = 0;
    const ran = await machine.run(["status", "--wait"], {}, { sleep: async () => steps[slept++]?.() });
    expect(ran).toMatchObject({ code: 0, err: "", out: expect.stringContaining("ready") });
    expect(slept).toBe(3);
  });

  test("--wait names the selected lab once", async () => {
    const backend = await machine.agent("node-1", {}, "a");
    backend.state.status.state = "starting";
    const sleep = async () => void Object.assign(backend.state.status, { state: "ready" });
    expect(await machine.run(["status", "--wait"], {}, { sleep })).toMatchObject({ code: 0, err: "lab a:\n" });
  });

  test.each([
    [[], "not within 60 s"],
    [["--timeout", "500ms"], "not within 0.5 s"],
    [["--lab", "x", "--timeout", "2m"], "not within 120 s"],
  ])("--wait %j ends in time", async (argv, message) => {
    const { code, err } = await machine.run(["status", "--wait", ...argv]);
    expect(code).toBe(1);
    expect(err).toContain(`weir: wait for ready: ${message}`);
  });

  test("--wait ends by signal, and an invalid duration is reported", async () => {
    const signal = AbortSignal.abort();
    expect(await machine.run(["status", "--wait"], {}, { signal })).toEqual({ code: 130, out: "", err: "" });
    const { code, err } = await machine.run(["status", "--timeout", "soon"]);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('for example "60s"') });
  });
});

describe("weir doctor", () => {
  const doctor: Doctor = {
    kernel: "6.1.0-18-amd64",
    arch: "x64",
    ok: true,
    probes: [
      { name: "tcx links", minimum: "6.6", available: false, required: false, hint: "clsact filters are used" },
      {
        name: "BTF",
        minimum: "5.4",
        available: true,
        required: true,
        hint: "build the kernel with CONFIG_DEBUG_INFO_BTF",
      },
    ],
  };
  test("examines the machine without an agent", async () => {
    const modules = { doctor: async () => ({ examine: async () => doctor }) };
    const { code, out } = await machine.run(["doctor"], modules);
    expect(code).toBe(0);
    expect(`\n${out}`).toMatchInlineSnapshot(`
      "
      kernel 6.1.0-18-amd64, x64

      CHECK      FOUND  SINCE  NEEDED  WHAT FOLLOWS
      tcx links  no     6.6    no      clsact filters are used
      BTF        yes    5.4    yes     -
      "
    `);
  });

  test("queries an agent of a lab, and fails if a required feature is missing", async () => {
    const [tcx, btf] = doctor.probes;
    if (!tcx || !btf) throw new Error("no sample");
    await machine.agent("node-1", { doctor: { ...doctor, ok: false, probes: [{ ...btf, available: false }] } }, "a");
    const { code, out, err } = await machine.run(["doctor", "--lab", "a", "-o", "json"]);
    expect({ code, err }).toEqual({ code: 1, err: "weir: missing: BTF\n" });
    expect(JSON.parse(out).ok).toBe(false);
  });
});
