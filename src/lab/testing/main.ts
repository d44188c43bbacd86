import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../errors.ts";
import * as lab from "../index.ts";
import { fakeAgent } from "./fake-agent.ts";

/** The lab's commands with the fake agent. Tests of the lab alone run this as `weir`. */
const [command = "", verb = "", ...rest] = process.argv.slice(2);
if (command === "agent") fakeAgent(process.argv.slice(3));
else {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => controller.abort());
  const io = {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    runDir: "/run/weir",
    signal: controller.signal,
  };
  const { values, positionals } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: {
      name: { type: "string", default: "default" },
      file: { type: "string", short: "f", multiple: true, default: [] },
      nodes: { type: "string", default: "1" },
      overlay: { type: "string", default: "vxlan" },
      image: { type: "string", multiple: true, default: [] },
      namespace: { type: "string", short: "n", default: "default" },
      output: { type: "string", short: "o", default: "table" },
    },
  });
  const { name, namespace } = values;
  const files = values.file.map((path) => resolve(path));
  const output = values.output as "table" | "json" | "yaml";
  const images = Object.fromEntries(values.image.map((text) => text.split("=") as [string, string]));
  const [pod = "", ...argv] = positionals;
  const overlay = values.overlay as "vxlan" | "direct";
  const verbs: Record<string, () => Promise<number>> = {
    up: () => lab.up({ name, files, nodes: Number(values.nodes), overlay, images }, io),
    apply: () => lab.apply({ name, files }, io),
    delete: () => lab.del({ name, files }, io),
    exec: () => lab.exec({ name, namespace, pod, command: argv }, io),
    logs: () => lab.logs({ name, namespace, pod }, io),
    status: () => lab.status({ name, output }, io),
    list: () => lab.list({ output }, io),
    down: () => lab.down({ name }, io),
    supervise: () =>
      lab.supervise(
        { name, capabilities: ["net_admin", "sys_admin", "dac_override", "sys_ptrace", "net_raw", "bpf"] },
        io,
      ),
  };
  try {
    process.exitCode = (await verbs[verb]?.()) ?? 2;
  } catch (error) {
    process.stderr.write(`weir: ${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}
