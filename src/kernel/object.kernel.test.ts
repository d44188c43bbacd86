import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { enumNames } from "./btf.ts";
import { codec, type FieldValue } from "./codec.ts";
import { KernelError, VerifierError } from "./errors.ts";
import { BpfMap, possibleCpus, UPDATE } from "./map.ts";
import { loadObject } from "./object.ts";
import { Program } from "./program.ts";
import { RingBuffer } from "./ringbuf.ts";
import { compile, openFds, scratch, scratchBpffs } from "./testdata/harness.ts";

const directory = scratch();
const bpffs = scratchBpffs(directory);
const good = compile("good", directory);
const refused = compile("refused", directory);
const resized = compile("resized", directory);

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const frame = Buffer.alloc(64);

function caught(fn: () => unknown): KernelError {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("programs", () => {
  test("run on a packet with read-only data, context and events", () => {
    const object = loadObject(good, {
      rodata: { test_verdict: 5, test_wide: 2n },
    });
    const events: Buffer[] = [];
    const ring = RingBuffer.open(object.map("test_events"), (data) => events.push(data));
    const run = object.program("test_main").testRun({ data: frame, ctx: { mark: 40, cb: [1, 2, 3, 4, 5] } });
    expect(run.retval).toBe(5);
    expect(run.data).toEqual(frame);
    expect(run.ctx).toMatchObject({
      mark: 42,
      cb: [1, 77, 3, 4, 5],
      ifindex: 1,
    });
    expect(ring.poll()).toBe(1);
    expect(events).toEqual([Buffer.concat([u32(64), u32(40)])]);
    ring.close();
    expect(() => ring.poll()).toThrow(/closed/);
    object.close();
  });

  test("poll rethrows an event handler's exception after all events", () => {
    const object = loadObject(good);
    let seen = 0;
    const ring = RingBuffer.open(object.map("test_events"), () => {
      seen += 1;
      throw new Error(`event ${seen}`);
    });
    object.program("test_main").testRun({ data: frame, repeat: 3 });
    expect(() => ring.poll()).toThrow("event 1");
    expect(seen).toBe(3);
    ring.close();
    object.close();
  });

  test("call each other through a program array", () => {
    const object = loadObject(good, { rodata: { test_verdict: 6 } });
    expect(object.program("test_caller").testRun({ data: frame }).retval).toBe(9);
    object.map("test_calls").update(u32(2), u32(object.program("test_main").fd));
    expect(object.map("test_calls").lookup(u32(2))).toEqual(u32(object.program("test_main").id));
    expect(object.program("test_caller").testRun({ data: frame }).retval).toBe(6);
    object.close();
  });

  test("negative verdicts are signed, invalid packets are refused", () => {
    const object = loadObject(good, { rodata: { test_verdict: 0xffffffff } });
    expect(object.program("test_main").testRun({ data: frame }).retval).toBe(-1);
    const error = caught(() => object.program("test_main").testRun({ data: Buffer.alloc(3) }));
    expect(error).toMatchObject({ code: "test-run-failed", errno: "EINVAL" });
    object.close();
  });

  test("pin and open", () => {
    const object = loadObject(good);
    const path = join(bpffs, "deep/er/program");
    object.program("test_main").pin(path);
    const opened = Program.open(path);
    expect([opened.id, opened.name]).toEqual([object.program("test_main").id, "test_main"]);
    expect(caught(() => object.program("test_main").pin(path))).toMatchObject({
      code: "pin-failed",
      errno: "EEXIST",
    });
    expect(caught(() => BpfMap.open(path))).toMatchObject({
      code: "wrong-kind",
    });
    opened.close();
    opened.close();
    object.close();
    expect(caught(() => opened.fd)).toMatchObject({ code: "closed" });
  });
});

describe("objects that cannot be loaded", () => {
  test("the verifier's last line is the message, its log is kept", () => {
    const error = caught(() => loadObject(refused)) as VerifierError;
    expect(error).toBeInstanceOf(VerifierError);
    expect(error).toMatchObject({ code: "verifier-refused", errno: "EACCES" });
    expect(error.message).toMatch(/^load program test_refused of .*: EACCES: .*invalid access to packet/);
    expect(error.message.split("\n")).toHaveLength(1);
    expect(error.log).toMatch(/0: R1=ctx/);
  });

  const truncated = join(directory, "truncated.bpf.o");
  writeFileSync(truncated, readFileSync(good).subarray(0, 700));
  const text = join(directory, "text.bpf.o");
  writeFileSync(text, "no ELF");
  test.each([
    ["a missing file", join(directory, "none.bpf.o"), { code: "object-unreadable", errno: "ENOENT" }],
    ["a truncated file", truncated, { code: "object-unreadable" }],
    ["a text", text, { code: "object-unreadable" }],
    ["a directory", directory, { code: "object-unreadable" }],
  ])("%s", (_what, path, expected) => {
    const error = caught(() => loadObject(path));
    expect(error).toMatchObject(expected);
    expect(error.message).toMatch(/^open object /);
  });

  test("unknown and wrong read-only data", () => {
    expect(caught(() => loadObject(good, { rodata: { nothing: 1 } }))).toMatchObject({ code: "rodata-missing" });
    expect(caught(() => loadObject(good, { rodata: { test_verdict: 2 ** 32 } }))).toMatchObject({
      code: "codec-value",
    });
  });

  test("unknown names are errors that list the known ones", () => {
    const object = loadObject(good);
    expect(() => object.program("nothing")).toThrow(/find program nothing in .*it has test_main, test_caller/);
    expect(() => object.map("nothing")).toThrow(/test_rows/);
    object.close();
  });

  test("pins outside of a bpffs", () => {
    expect(caught(() => loadObject(good, { pinDir: join(directory, "plain") }))).toMatchObject({ code: "load-failed" });
  });
});

describe("pinned maps", () => {
  test("are created once, reused, and refused if they differ", () => {
    const pinDir = join(bpffs, "maps");
    const pinMaps = (name: string) => name !== "test_percpu";
    const first = loadObject(good, { pinDir, pinMaps });
    first.map("test_array").update(u32(3), Buffer.from("12345678"));
    first.close();
    expect(existsSync(join(pinDir, "test_percpu"))).toBe(false);
    const second = loadObject(good, { pinDir, pinMaps });
    expect(second.map("test_array").lookup(u32(3))).toEqual(Buffer.from("12345678"));
    const pinned = BpfMap.open(join(pinDir, "test_array"));
    expect(pinned).toMatchObject({
      id: second.map("test_array").id,
      type: "array",
      keySize: 4,
      valueSize: 8,
      maxEntries: 8,
    });
    pinned.close();
    second.close();
    const error = caught(() => loadObject(resized, { pinDir }));
    expect(error).toMatchObject({ code: "map-incompatible" });
    expect(error.message).toContain(join(pinDir, "test_array"));
    expect(caught(() => BpfMap.open(join(pinDir, "nothing")))).toMatchObject({
      code: "not-pinned",
      errno: "ENOENT",
    });
  });
});

describe("maps", () => {
  test("look up, update, delete, with flags", () => {
    const object = loadObject(good);
    const map = object.map("test_rows");
    const { key, value } = object.codecs("test_rows");
    const row = value.encode({ packets: 7, name: "weir" });
    expect(map.lookup(key.encode(1))).toBeUndefined();
    expect(caught(() => map.update(key.encode(1), row, UPDATE.replace))).toMatchObject({ code: "missing" });
    map.update(key.encode(1), row);
    expect(caught(() => map.update(key.encode(1), row, UPDATE.create))).toMatchObject({
      code: "exists",
      errno: "EEXIST",
    });
    object.program("test_main").testRun({ data: frame });
    expect(value.decode(map.lookup(key.encode(1)) as Buffer)).toMatchObject({
      packets: 8n,
      name: "weir",
    });
    expect([map.delete(key.encode(1)), map.delete(key.encode(1))]).toEqual([true, false]);
    expect(caught(() => map.lookup(Buffer.alloc(3)))).toMatchObject({
      code: "map-size",
    });
    expect(caught(() => map.update(key.encode(1), Buffer.alloc(9)))).toMatchObject({ code: "map-size" });
    object.close();
    expect(caught(() => map.lookup(u32(1)))).toMatchObject({ code: "closed" });
  });

  test("10,000 rows are written in batches; a full map is an error with the row's index", () => {
    const object = loadObject(good, { maxEntries: { test_rows: 10_000 } });
    const map = object.map("test_rows");
    const pairs = Array.from({ length: 10_000 }, (_, i): [Buffer, Buffer] => {
      const value = Buffer.alloc(map.valueSize);
      value.writeUInt32LE(i);
      return [u32(i), value];
    });
    map.updateBatch(pairs);
    const entries = map.entries();
    expect(entries).toHaveLength(10_000);
    expect(entries.every(([key, value]) => key.readUInt32LE() === value.readUInt32LE())).toBe(true);
    expect(new Set(entries.map(([key]) => key.readUInt32LE())).size).toBe(10_000);
    expect([...map.keys()]).toHaveLength(10_000);
    const more = [10_000, 10_001].map((i): [Buffer, Buffer] => [u32(i), Buffer.alloc(map.valueSize)]);
    const error = caught(() => map.updateBatch([...pairs.slice(0, 3), ...more]));
    expect(error).toMatchObject({ code: "map-full", errno: "E2BIG" });
    expect(error.message).toContain("row 3 of 5");
    expect(map.deleteBatch([...pairs.map(([key]) => key), u32(99_999)])).toBe(10_000);
    expect(map.entries()).toEqual([]);
    object.close();
  });

  test("every kind lists its entries", () => {
    const object = loadObject(good);
    expect(object.map("test_array").entries()).toHaveLength(8);
    const lpm = object.map("test_lpm");
    const prefix = object.codecs("test_lpm").key;
    lpm.updateBatch([
      [prefix.encode({ length: 8, address: Buffer.from([10, 0, 0, 0]) }), u32(1)],
      [prefix.encode({ length: 16, address: Buffer.from([10, 1, 0, 0]) }), u32(2)],
    ]);
    expect(
      lpm
        .entries()
        .map(([, value]) => value.readUInt32LE())
        .sort(),
    ).toEqual([1, 2]);
    expect(lpm.lookup(prefix.encode({ length: 32, address: Buffer.from([10, 1, 2, 3]) }))).toEqual(u32(2));
    const perCpu = object.map("test_percpu");
    expect(perCpu.bufferSize).toBe(8 * possibleCpus());
    const slots = Buffer.alloc(perCpu.bufferSize);
    for (let cpu = 0; cpu < possibleCpus(); cpu++) slots.writeUInt32LE(cpu + 5, cpu * 8);
    perCpu.updateBatch([[u32(1), slots]]);
    expect(perCpu.entries()).toEqual([[u32(1), slots]]);
    object.close();
  });
});

describe("types", () => {
  test("enum names, and encoding and decoding with the compiler's layout", () => {
    const object = loadObject(good);
    expect(enumNames(object.btf, "test_reason")).toEqual(
      new Map([
        [0, "TEST_NONE"],
        [3, "TEST_SHORT"],
        [70000, "TEST_LONG"],
      ]),
    );
    const value = codec(object.btf, "test_value");
    const fields = {
      packets: 2n ** 64n - 1n,
      name: "abcdefg",
      mac: Buffer.from([1, 2, 3, 4, 5, 6]),
      reserved: 0,
      inner: [
        { port: 65535, delta: -32768 },
        { port: 1, delta: 2 },
      ],
      balance: -5n,
      reason: 70000,
    };
    expect(value.size).toBe(object.map("test_rows").valueSize);
    expect(value.decode(value.encode({ ...fields, v4: 0x04030201 }))).toEqual({
      ...fields,
      v4: 0x04030201,
      raw: Buffer.from([1, 2, 3, 4]),
    });
    object.close();
  });

  test.each([
    ["test_value.nothing", { nothing: 1 }],
    ["test_value.packets", { packets: 2n ** 64n }],
    ["test_value.packets", { packets: -1 }],
    ["test_value.packets", { packets: 1.5 }],
    ["test_value.packets", { packets: "1" }],
    ["test_value.inner[1].port", { inner: [{ port: 1 }, { port: 65536 }] }],
    ["test_value.inner[0].delta", { inner: [{ delta: 40000 }] }],
    ["test_value.inner", { inner: [{}, {}, {}] }],
    ["test_value.inner", { inner: 3 }],
    ["test_value.name", { name: "12345678" }],
    ["test_value.name", { name: "a\0b" }],
    ["test_value.mac", { mac: Buffer.alloc(7) }],
    ["test_value.mac", { mac: "abc" }],
    ["test_value", 7],
  ])("refuses a value of %s", (path, fields: FieldValue) => {
    const object = loadObject(good);
    const error = caught(() => codec(object.btf, "test_value").encode(fields));
    expect(error.code).toBe("codec-value");
    expect(error.message.startsWith(`encode ${path}:`) || error.message.startsWith(`encode ${path} (`)).toBe(true);
    expect(caught(() => codec(object.btf, "no_such_type"))).toMatchObject({
      code: "btf-missing",
    });
    expect(caught(() => codec(object.btf, "test_value").decode(Buffer.alloc(3)))).toMatchObject({ code: "codec-size" });
    object.close();
  });
});

test("closing a hundred objects leaves no descriptor open", () => {
  loadObject(good).close();
  const before = openFds();
  for (let i = 0; i < 100; i++) {
    const object = loadObject(good);
    const ring = RingBuffer.open(object.map("test_events"), () => {});
    ring.close();
    object.close();
    object.close();
  }
  caught(() => loadObject(refused));
  expect(openFds()).toBe(before);
});
