import { join } from "node:path";
import { expect, test } from "vitest";
import { checks, runScriptInVm } from "./matrix.ts";

test("the kernel layer keeps its promises on Linux 6.1", async () => {
  const modules = ["veth", "vxlan", "ifb", "sch_ingress", "cls_bpf", "sch_htb", "sch_tbf", "sch_fq", "sch_netem"];
  const vm = await runScriptInVm(join(import.meta.dirname, "kernel-guest.ts"), { modules });
  expect(vm, vm.output + vm.console).toMatchObject({ exitCode: 0 });
  const results = [...checks(vm.output).values()];
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
  expect(results.map(({ name }) => name)).toHaveLength(7);
});
