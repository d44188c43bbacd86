import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { builtObjects, runScriptInVm } from "./matrix.ts";
import { linkExamples, linkedNames } from "./programs.ts";
import { type CheckResult, checks } from "./report.ts";
import type { VmResult } from "./vm.ts";

const MINUTE = 60_000;

/** Each script runs once in a machine of its own and prints its checks; a check that is missing has failed. */
const SCRIPTS: { title: string; script: string; modules: string[]; names: string[]; withPrograms?: boolean }[] = [
  {
    title: "Linux 6.1: objects",
    script: "guest.ts",
    withPrograms: true,
    modules: ["veth", "sch_ingress", "cls_bpf"],
    names: [...builtObjects(), ...linkedNames].flatMap((name) => [`${name} loads`, `${name} attaches`, `${name} runs`]),
  },
  {
    title: "Linux 6.1: a lab",
    script: "guest-lab.ts",
    modules: ["veth", "vxlan", "sch_ingress", "cls_bpf", "sch_htb", "sch_tbf"],
    names: [
      "a lab of two nodes comes up",
      "the agents name their pods",
      ...["on the same node", "across nodes"].flatMap((at) => [`ping ${at}, IPv4`, `ping ${at}, IPv6`, `TCP ${at}`]),
      "a limit holds",
      "the lab leaves nothing behind",
    ],
  },
  {
    title: "Linux 6.1: impairments with fq",
    script: "guest-impair.ts",
    modules: ["veth", "sch_ingress", "cls_bpf", "sch_htb", "sch_tbf", "sch_fq", "sch_netem"],
    names: [
      "a node comes up",
      "delay 50 ± 10 ms",
      "delay by the rule's own count",
      "delay alone keeps the order",
      "copies of delayed packets are delayed",
      "reorder: a part overtakes",
      "pace",
      "TCP at 1 % loss: impair as netem",
      "the node goes",
    ],
  },
];

describe.each(SCRIPTS)("$title", ({ script, modules, names, withPrograms }) => {
  let vm: VmResult;
  let results: Map<string, CheckResult>;

  beforeAll(async () => {
    const given = withPrograms ? await linkExamples() : undefined;
    try {
      const files = given?.files ?? {};
      vm = await runScriptInVm(join(import.meta.dirname, script), { modules, files, timeoutMs: 5 * MINUTE });
    } finally {
      given?.close();
    }
    results = checks(vm.output);
  }, 6 * MINUTE);

  test("the machine ran to its end", () => {
    expect(vm, vm.output + vm.console).toMatchObject({ exitCode: 0 });
  });

  test.each(names)("%s", (name) => {
    const result = results.get(name) ?? { name, passed: false, detail: `no result; output:\n${vm.output}` };
    expect(result.passed, result.detail).toBe(true);
    if (/\d/.test(result.detail)) process.stdout.write(`${name}: ${result.detail}\n`); // what was measured
  });
});
