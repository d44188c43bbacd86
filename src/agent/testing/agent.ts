import type { Panel } from "../../datapath/panel.ts";
import type { Builder } from "../../datapath/programs/builder.ts";
import { Memory, type MemoryOptions } from "../../datapath/testing/memory.ts";
import { DEFAULT_RULE_SETTINGS } from "../../model/limits.ts";
import type { NodeContext } from "../../model/node-context.ts";
import { AppliedStore } from "../../sources/applied.ts";
import { openAttachments } from "../../sources/attachments.ts";
import { LastGoodFile } from "../../sources/last-good.ts";
import { Agent } from "../agent.ts";
import { functions } from "../functions.ts";
import { createLogger } from "../log.ts";
import type { AgentParts } from "../parts.ts";
import { Programs } from "../programs.ts";

/** An in-memory kernel with all functions. @param most sizes of tables, to test full ones */
export function memoryKernel(most: MemoryOptions["tables"] = {}): Memory {
  const tables = Object.fromEntries(functions.flatMap((fn) => fn.tables).map((name) => [name, most[name] ?? 10_000]));
  return new Memory({ tables, functions: functions.map(({ name }) => name) });
}

export interface TestAgent extends Partial<Pick<AgentParts, "manifests" | "follow" | "taps">> {
  node: NodeContext;
  /** State folder. */
  folder: string;
  kernel: Memory;
  signal: AbortSignal;
  /** CIDRs of pods' addresses; by default the node's. */
  podCIDRs?: readonly string[] | undefined;
}

/** An agent on an in-memory kernel, not started yet. */
export function agentOn({
  node,
  folder,
  kernel,
  signal,
  podCIDRs = node.podCIDRs,
  manifests,
  follow,
  taps,
}: TestAgent): Agent {
  const datapath = kernel.datapath();
  return new Agent({
    ...{ node, follow, taps, manifests, datapath, signal },
    settings: DEFAULT_RULE_SETTINGS,
    endpoints: openAttachments({ folder, podCIDRs }),
    lastGood: new LastGoodFile(folder),
    applied: new AppliedStore(folder),
    panel: datapath.panel as unknown as Panel,
    programs: new Programs({ folder: undefined, builder: {} as Builder, held: [], onChange: () => {} }),
    log: createLogger("silent", node.name),
  });
}
