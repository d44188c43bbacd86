import type { Datapath } from "../datapath/datapath.ts";
import type { Panel } from "../datapath/panel.ts";
import type { RuleSettings } from "../model/limits.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";
import type { AppliedStore } from "../sources/applied.ts";
import type { AttachmentStore } from "../sources/attachments.ts";
import type { LastGoodFile } from "../sources/last-good.ts";
import type { ManifestWatch } from "../sources/manifests/index.ts";
import type { HostFinder } from "./hosts.ts";
import type { Logger } from "./log.ts";
import type { Programs } from "./programs.ts";
import type { TapFinder } from "./taps.ts";

/** What an agent is made of. */
export interface AgentParts {
  node: NodeContext;
  settings: RuleSettings;
  manifests: ManifestWatch | undefined;
  endpoints: AttachmentStore;
  lastGood: LastGoodFile;
  applied: AppliedStore;
  panel: Panel;
  datapath: Datapath;
  /** Looks up and builds users' programs. */
  programs: Programs;
  /** Only in mode `chained`. */
  taps?: TapFinder | undefined;
  /** Finds the cgroups of pods with `hostNetwork: true`. */
  hosts?: HostFinder | undefined;
  /** Path of the BPF file system, if not the default. */
  bpffs?: string | undefined;
  /** Reads the node's present state; returns `before` itself if nothing changed. @param object its Node object */
  follow?: ((object: Node | undefined, before: NodeContext) => NodeContext) | undefined;
  log: Logger;
  signal: AbortSignal;
}
