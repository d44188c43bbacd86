import { createReadStream } from "node:fs";
import Table from "cli-table3";
import { stringify } from "yaml";
import { LabClient } from "../client.ts";
import { codeOf, LabError, messageOf } from "../errors.ts";
import { labNames } from "../names.ts";
import { problemLine } from "../objects.ts";
import { listLabs, readRecord } from "../record.ts";
import type { LabStatus } from "../status.ts";
import { type LabIo, labsRoot } from "./io.ts";

export type Output = "table" | "json" | "yaml";

/** Prints a lab's nodes and pods. Exit code 1 while not all are ready. */
export async function status(options: { name: string; output: Output }, io: LabIo): Promise<number> {
  const names = labNames(options.name, labsRoot(io));
  readRecord(names);
  const found = await new LabClient(names).status();
  io.stdout.write(format(found, options.output));
  return found.ready ? 0 : 1;
}

function format(found: LabStatus, output: Output): string {
  if (output === "json") return `${JSON.stringify(found, null, 2)}\n`;
  if (output === "yaml") return stringify(found);
  const nodes = table(["NODE", "AGENT", "RESTARTS", "ADDRESSES", "POD CIDRS"]);
  for (const node of found.nodes) {
    const { name, agentPid, agentRestarts, addresses, podCIDRs } = node;
    nodes.push([name, agentPid ?? "restarting", agentRestarts, addresses.join(" "), podCIDRs.join(" ")]);
  }
  const pods = table(["NAMESPACE", "POD", "PHASE", "NODE", "IPS", "MESSAGE"]);
  for (const pod of found.pods) {
    pods.push([pod.namespace, pod.name, pod.phase, pod.node, pod.ips.join(" "), pod.message ?? ""]);
  }
  const problems = found.problems.map((problem) => `! ${problemLine(problem)}\n`).join("");
  return `lab ${found.name}, overlay ${found.overlay}\n\n${nodes.toString()}\n\n${pods.toString()}\n${problems}`;
}

const BARE = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
};
const LINES = {
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

function table(head: string[]): Table.Table {
  const style = { head: [], border: [], "padding-left": 0, "padding-right": 0 };
  return new Table({ head, chars: { ...BARE, ...LINES }, style });
}

/** Prints the labs of this machine. */
export async function list(options: { output: Output }, io: LabIo): Promise<number> {
  const root = labsRoot(io);
  const items = await Promise.all(
    listLabs(root).map(async (name) => {
      const names = labNames(name, root);
      const { nodes, overlay } = readRecord(names);
      const state = await new LabClient(names).status().then(
        (found) => ({ ready: found.ready, pods: found.pods.length, message: null }),
        (error) => ({ ready: false, pods: 0, message: messageOf(error) }),
      );
      return { name, nodes, overlay, ...state };
    }),
  );
  if (options.output === "json") io.stdout.write(`${JSON.stringify({ items }, null, 2)}\n`);
  else if (options.output === "yaml") io.stdout.write(stringify({ items }));
  else {
    const rows = table(["LAB", "NODES", "OVERLAY", "PODS", "READY", "MESSAGE"]);
    for (const { name, nodes, overlay, pods, ready, message } of items) {
      rows.push([name, nodes, overlay, pods, ready ? "yes" : "no", message ?? ""]);
    }
    io.stdout.write(`${rows.toString()}\n`);
  }
  return 0;
}

/** Prints the log of a pod's container. */
export async function logs(
  options: { name: string; namespace: string; pod: string; container?: string | undefined },
  io: LabIo,
): Promise<number> {
  const { namespace, pod, container } = options;
  const names = labNames(options.name, labsRoot(io));
  readRecord(names);
  const { pods } = await new LabClient(names).status();
  const found = pods.find((one) => one.namespace === namespace && one.name === pod);
  const all = [...(found?.containers ?? []), ...(found?.initContainers ?? [])];
  const source = all.find((one) => container === undefined || one.name === container);
  if (source === undefined) {
    throw new LabError(
      "no-container",
      `read logs of ${namespace}/${pod}: no such ${found === undefined ? "pod" : "container"}`,
    );
  }
  try {
    for await (const chunk of createReadStream(source.log, "utf8")) io.stdout.write(String(chunk));
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause;
    throw new LabError(
      "not-started",
      `read logs of ${namespace}/${pod}: container ${source.name} was not started yet (weir lab status says why)`,
      { cause },
    );
  }
  return 0;
}
