import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { attachDevice, openBpfLink } from "./attach.ts";
import type { BpfLink } from "./bpf-link.ts";
import { attachClsact } from "./clsact.ts";
import { createNamespace, inNamespace, removeNamespace } from "./namespace.ts";
import { type BpfObject, loadObject } from "./object.ts";
import { attachTcx } from "./tcx.ts";
import { compile, openFds, runName, scratch, scratchBpffs } from "./testdata/harness.ts";

const directory = scratch();
const bpffs = scratchBpffs(directory);
const good = compile("good", directory);
const name = runName("link");
const namespace = createNamespace(name);
afterAll(() => removeNamespace(name));

const LOOPBACK = 1;
const pass: BpfObject = loadObject(good, { rodata: { test_verdict: 0 } });
const drop: BpfObject = loadObject(good, { rodata: { test_verdict: 2 } });
afterAll(() => {
  pass.close();
  drop.close();
});
const inside = <T>(fn: () => T): T => inNamespace(namespace, fn);

/** Sends one ping over the namespace's loopback. Returns whether the attached program let it pass. */
function passes(): boolean {
  try {
    execFileSync("nsenter", [`--net=${namespace}`, "ping", "-c1", "-W0.2", "-q", "127.0.0.1"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
execFileSync("nsenter", [`--net=${namespace}`, "ip", "link", "set", "lo", "up"]);

describe.each([
  ["tcx", attachTcx],
  ["clsact", attachClsact],
] as const)("%s", (kind, attach) => {
  test.each(["ingress", "egress"] as const)("attach, update, detach at %s", (direction) => {
    expect(passes()).toBe(true);
    const link: BpfLink = inside(() => attach(drop.program("test_main"), LOOPBACK, direction));
    expect(link).toMatchObject({ kind, ifindex: LOOPBACK, direction });
    expect(inside(() => link.programId)).toBe(drop.program("test_main").id);
    expect(passes()).toBe(false);
    inside(() => link.update(pass.program("test_main")));
    expect(passes()).toBe(true);
    inside(() => link.update(drop.program("test_main")));
    inside(() => link.detach());
    inside(() => link.detach());
    expect(inside(() => link.programId)).toBe(kind === "tcx" ? drop.program("test_main").id : 0);
    expect(passes()).toBe(true);
    link.close();
    link.close();
  });

  test("a missing device", () => {
    expect(() => inside(() => attach(pass.program("test_main"), 4242, "ingress"))).toThrow(
      /^attach .*test_main to ingress of device 4242: E\w+ \(no such device in this namespace\)/,
    );
  });
});

test("a clsact filter is replaced, not added twice", () => {
  inside(() => attachClsact(drop.program("test_main"), LOOPBACK, "ingress"));
  const second = inside(() => attachClsact(pass.program("test_main"), LOOPBACK, "ingress"));
  expect(passes()).toBe(true);
  inside(() => second.detach());
});

test("clsact filters of two places exist side by side", () => {
  const kind = "clsact";
  const next = loadObject(good, { rodata: { test_verdict: 0xffffffff } });
  const pins = [0, 1].map((place) => join(bpffs, `links/${kind}-${place}`));
  const attach = (object: BpfObject, place: number) =>
    inside(() =>
      attachDevice(object.program("test_main"), LOOPBACK, "ingress", { pin: pins[place] ?? "", kind, place }),
    );
  const detach = (place: number) => {
    const link = openBpfLink(pins[place] ?? "");
    inside(() => link.detach());
    link.close();
  };
  try {
    attach(next, 0).close();
    attach(drop, 1).close();
    expect(passes()).toBe(false);
    detach(1);
    expect(passes()).toBe(true);
    attach(next, 1).close();
    attach(drop, 0).close();
    expect(passes()).toBe(false);
    detach(0);
    expect(passes()).toBe(true);
    detach(1);
  } finally {
    next.close();
  }
});

describe.each(["tcx", "clsact"] as const)("a pinned %s attachment", (kind) => {
  const pin = join(bpffs, `links/${kind}`);
  const attach = (object: BpfObject, direction: "ingress" | "egress") =>
    inside(() => attachDevice(object.program("test_main"), LOOPBACK, direction, { pin, kind }));

  test("survives its handle and is adopted with another program", () => {
    attach(drop, "ingress").close();
    expect(passes()).toBe(false);
    attach(pass, "ingress").close();
    expect(passes()).toBe(true);
    const opened = openBpfLink(pin);
    expect(opened).toMatchObject({ kind, ifindex: LOOPBACK, direction: "ingress" });
    expect(inside(() => opened.programId)).toBe(pass.program("test_main").id);
    inside(() => opened.update(drop.program("test_main")));
    expect(passes()).toBe(false);
    inside(() => opened.detach());
    opened.close();
    expect(passes()).toBe(true);
  });

  test("of another hook is replaced by a new one", () => {
    attach(pass, "ingress").close();
    const other = attach(drop, "egress");
    expect(openBpfLink(pin)).toMatchObject({ kind, direction: "egress" });
    expect(passes()).toBe(false);
    inside(() => other.detach());
    other.close();
    expect(passes()).toBe(true);
  });
});

describe("pins", () => {
  test("a missing pin and a pin of another kind are errors", () => {
    expect(() => openBpfLink(join(bpffs, "none"))).toThrow(
      /open pinned link .*none: ENOENT \(nothing is pinned there\)/,
    );
    pass.map("test_lpm").pin(join(bpffs, "lpm"));
    pass.program("test_main").pin(join(bpffs, "program"));
    expect(() => openBpfLink(join(bpffs, "program"))).toThrow(/what is pinned is a program/);
    expect(() => openBpfLink(join(bpffs, "lpm"))).toThrow(/what is pinned is a map/);
  });

  test("without a pin the attachment ends with its handle", () => {
    const link = inside(() => attachDevice(drop.program("test_main"), LOOPBACK, "ingress"));
    expect(passes()).toBe(false);
    link.close();
    expect(passes()).toBe(true);
  });
});

test("many attachments leave no descriptor open", () => {
  const before = openFds();
  inside(() => {
    for (let i = 0; i < 100; i++) attachTcx(pass.program("test_main"), LOOPBACK, "ingress").close();
    for (let i = 0; i < 20; i++) attachClsact(pass.program("test_main"), LOOPBACK, "ingress").detach();
  });
  expect(() => inside(() => attachTcx(pass.program("test_main"), 4242, "ingress"))).toThrow();
  // each detach waits for a grace period of the kernel, some 10 ms
  expect(openFds()).toBe(before);
});
