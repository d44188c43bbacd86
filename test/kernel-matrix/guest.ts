/** Runs inside the test machine: loads and attaches every BPF object; one JSON line a check. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { attachDevice, type BpfObject, loadObject, type Program } from "../../src/kernel/index.ts";
import { check } from "./report.ts";

const OBJECTS = ["/weir/dist/bpf", "/weir/programs"];
const PINS = "/sys/fs/bpf/weir-matrix";
const ETH_HEADER = 14;
const UNKNOWN_PROTOCOL = 0x88b5; // IEEE 802 local experimental: no function knows it

const ip = (...args: string[]) => execFileSync("ip", args, { encoding: "utf8" });

/** Attaches every classifier of the object to its own device in both directions. */
function attach(object: BpfObject, device: string): string {
  ip("link", "add", device, "type", "veth", "peer", "name", `${device}p`);
  const ifindex = Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
  const kinds = [...object.programs.values()].map((program) => attachBoth(program, ifindex));
  ip("link", "del", device);
  return [...new Set(kinds)].join(", ");
}

function attachBoth(program: Program, ifindex: number): string {
  const links = (["ingress", "egress"] as const).map((direction) => attachDevice(program, ifindex, direction));
  for (const link of links) {
    if (link.programId !== program.id) throw new Error(`attached program ${link.programId} in place of ${program.id}`);
    link.detach();
  }
  return links.map((link) => link.kind).join(", ");
}

/** Runs each program with a frame of an unknown protocol; each must return a verdict. */
function runOnce(object: BpfObject): string {
  const frame = Buffer.alloc(64);
  frame.writeUInt16BE(UNKNOWN_PROTOCOL, ETH_HEADER - 2);
  return [...object.programs.values()]
    .map((program) => `${program.name} ${program.testRun({ data: frame }).retval}`)
    .join(", ");
}

const files = OBJECTS.flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)));
for (const file of files.filter((name) => name.endsWith(".bpf.o"))) {
  const name = basename(file, ".bpf.o");
  let object: BpfObject | undefined;
  check(`${name} loads`, () => {
    // All objects share one directory of pins: those with a common map must agree about it.
    object = loadObject(file, { pinDir: PINS });
    return [...object.programs.keys()].join(", ");
  });
  check(`${name} attaches`, () => (object ? attach(object, `m-${name}`.slice(0, 14)) : fail("not loaded")));
  check(`${name} runs`, () => (object ? runOnce(object) : fail("not loaded")));
}

function fail(message: string): never {
  throw new Error(message);
}
