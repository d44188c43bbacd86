import { once } from "node:events";
import type { AgentConfig } from "../api/config.ts";
import { objectKey } from "../model/names.ts";
import type { Node } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import type { ManifestWatch } from "../sources/manifests/index.ts";
import type { Logger } from "./log.ts";
import { nodeName } from "./node.ts";

/** Interval between two log lines while waiting for objects, ms. */
const TELL_EVERY = 5000;

export interface WaitOptions {
  config: Pick<AgentConfig, "node" | "mode" | "kubernetes" | "podCIDRs">;
  /** Has an event `change` after each change of the source. */
  changes: EventTarget;
  log: Pick<Logger, "warn">;
  signal: AbortSignal;
}

/**
 * Waits for what an agent needs of its source before it starts: all objects, and from a Kubernetes API the pod CIDRs of
 * its node, which are assigned some time after kubelet has registered it. An agent that ended instead would list the
 * whole cluster again at each restart. @throws ManifestError; the signal's reason
 */
export async function untilKnown(source: ManifestWatch, options: WaitOptions): Promise<void> {
  const { config, changes, log, signal } = options;
  let isSynced = false;
  const tell = (): void => {
    const problems = isSynced ? [lackOf(config, source)] : source.snapshot().problems;
    for (const { object, message, severity } of problems.filter((one) => one !== undefined)) {
      if (severity !== "skipped") log.warn({ object, message }, "waiting for objects");
    }
  };
  const timer = setInterval(tell, TELL_EVERY);
  try {
    await source.synced;
    isSynced = true;
    if (lackOf(config, source)) tell();
    while (lackOf(config, source)) await once(changes, "change", { signal });
  } finally {
    clearInterval(timer);
  }
}

/** What the own Node object lacks for the start. */
function lackOf(config: WaitOptions["config"], source: ManifestWatch): Problem | undefined {
  if (!config.kubernetes || config.mode === "chained" || config.podCIDRs) return undefined;
  const object = objectKey("Node", { name: nodeName(config) });
  const node = source.object(object) as Node | undefined;
  if (node && node.podCIDRs.length > 0) return undefined;
  const fault = node ? "it has no pod CIDRs yet" : "there is no such object yet";
  return { object, message: `${fault} (spec.podCIDRs; or set podCIDRs in the configuration)` };
}
