import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as z from "zod";
import { writeAtomically } from "../sources/atomic.ts";
import { codeOf, LabError, messageOf } from "./errors.ts";
import { LABS_ROOT, type LabNames, labNames, type NodeNames, nodeNames } from "./names.ts";

const Record = z.object({
  version: z.literal(1),
  name: z.string(),
  createdAt: z.string(),
  nodes: z.number().int().min(1),
  overlay: z.enum(["vxlan", "direct"]),
  /** Absolute paths of the watched manifests. */
  sources: z.array(z.string()),
  /** The Kubernetes API of the lab's nodes: absolute path of its kubeconfig, and a context of it. */
  kubernetes: z.object({ kubeconfig: z.string(), context: z.string() }).optional(),
  /** Image name → absolute path of an archive or a directory. */
  images: z.record(z.string(), z.string()),
  /** Absolute path of the folder with programs for `ebpf-limit`. */
  programs: z.string().optional(),
  /** Absolute path of the lab's cgroup. */
  cgroup: z.string(),
  supervisor: z.object({ pid: z.number().int() }).optional(),
});

/** `lab.json`: the settings that the lab was started with, and everything that `down` needs after a crash. */
export type LabRecord = z.infer<typeof Record>;
/** The API that a lab uses. */
export type KubernetesTarget = NonNullable<LabRecord["kubernetes"]>;

/** The lab's nodes. In a Kubernetes API their names start with the lab's: other nodes are there too. */
export function labNodes(names: LabNames, { nodes, kubernetes }: Pick<LabRecord, "nodes" | "kubernetes">): NodeNames[] {
  const prefix = kubernetes === undefined ? "" : `${names.name}-`;
  return Array.from({ length: nodes }, (_, index) => nodeNames(names, index + 1, prefix));
}

export function readRecord(names: LabNames): LabRecord {
  let text: string;
  try {
    text = readFileSync(names.record, "utf8");
  } catch (cause) {
    if (codeOf(cause) === "EACCES") throw notRoot(`find lab ${names.name}`, cause);
    const hint = `start it with weir lab up --name ${names.name}`;
    throw new LabError("no-lab", `find lab ${JSON.stringify(names.name)}: not running (${hint})`, { cause });
  }
  try {
    return Record.parse(JSON.parse(text));
  } catch (cause) {
    throw new LabError("bad-record", `read ${names.record}: ${messageOf(cause)}`, { cause });
  }
}

export function writeRecord(names: LabNames, record: LabRecord): void {
  writeAtomically(names.record, `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * Names of the labs that have state on this machine, sorted. Throws LabError `not-root` without permission to read it.
 */
export function listLabs(root: string = LABS_ROOT): string[] {
  return entriesOf(root)
    .filter((name) => {
      try {
        return existsSync(labNames(name, root).dir);
      } catch {
        return false;
      }
    })
    .sort();
}

function entriesOf(root: string): string[] {
  try {
    return readdirSync(root);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return [];
    if (codeOf(cause) === "EACCES") throw notRoot("list labs", cause);
    throw cause;
  }
}

function notRoot(what: string, cause: unknown): LabError {
  return new LabError("not-root", `${what}: EACCES (labs are root's alone: try sudo)`, { cause });
}
