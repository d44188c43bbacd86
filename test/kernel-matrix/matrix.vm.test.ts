import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { builtObjects, runScriptInVm } from "./matrix.ts";
import { linkExamples, linkedNames } from "./programs.ts";
import { type CheckResult, checks } from "./report.ts";
import type { VmResult } from "./vm.ts";

const MINUTE = 60_000;

/** The checks of each script; a missing check has failed. */
const SCRIPTS: { title: string; names: string[] }[] = [
  {
    title: "a lab (guest-lab.ts)",
    names: [
      "a lab of two nodes comes up",
      "the agents name their pods",
      ...["on the same node", "across nodes"].flatMap((at) => [`ping ${at}, IPv4`, `ping ${at}, IPv6`, `TCP ${at}`]),
      "a limit holds",
      "the lab leaves nothing behind",
    ],
  },
  {
    title: "impairments with fq (guest-impair.ts)",
    names: [
      "a node comes up",
      "delay 50 ± 10 ms",
      "delay by the rule's own count",
      "delay alone keeps the order",
      "copies of delayed packets are delayed",
      "reorder: a part overtakes",
      "a delay that goes loses nothing that it holds",
      "pace",
      "TCP at 1 % loss: impair and netem",
      "the node goes",
    ],
  },
  {
    title: "the kernel layer (kernel-guest.ts)",
    names: [
      "probes agree with the versions that they state",
      "modules and options that are there are found",
      "devices, addresses, routes, neighbours",
      "offloads",
      "a shaper's tree",
      "programs attach by clsact, are adopted by their pin, replaced and detached",
      "namespaces go",
    ],
  },
  {
    title: "objects (guest.ts)",
    names: [...builtObjects(), ...linkedNames].flatMap((name) => [`${name} loads`, `${name} attaches`, `${name} runs`]),
  },
];
const MODULES = ["veth", "vxlan", "ifb", "sch_ingress", "cls_bpf", "sch_htb", "sch_tbf", "sch_fq", "sch_netem"];

let vm: VmResult;
let results: Map<string, CheckResult>;

beforeAll(async () => {
  const { files, close } = await linkExamples();
  const script = join(import.meta.dirname, "guest-all.ts");
  try {
    vm = await runScriptInVm(script, { modules: MODULES, files, timeoutMs: 14 * MINUTE });
  } finally {
    close();
  }
  results = checks(vm.output);
}, 15 * MINUTE);

describe.each(SCRIPTS)("Linux 6.1: $title", ({ names }) => {
  test.each(names)("%s", (name) => {
    const result = results.get(name) ?? { name, passed: false, detail: `no result; output:\n${vm.output}` };
    expect(result.passed, result.detail).toBe(true);
    if (/\d/.test(result.detail)) process.stdout.write(`${name}: ${result.detail}\n`); // A measured value.
  });
});

test("the machine ran to its end, and every check is listed", () => {
  expect(vm, vm.output + vm.console).toMatchObject({ exitCode: 0 });
  expect([...results.keys()].sort()).toEqual(SCRIPTS.flatMap(({ names }) => names).sort());
});
