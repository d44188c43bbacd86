import { join } from "node:path";
import { KernelAttacher } from "./attach.ts";
import { Datapath } from "./datapath.ts";
import { kernelNetwork } from "./network.ts";
import type { Panel } from "./panel.ts";
import { PanelPorts } from "./panel-ports.ts";
import { KernelUserPrograms } from "./programs/user-programs.ts";

export interface DatapathOptions {
  panel: Panel;
  tables: readonly string[];
  state?: readonly string[];
  /** The path of a linked build of a user's program. */
  programs?: (build: string) => string;
  owner?: string | undefined;
}

const noPrograms = (build: string): string => {
  throw new Error(`find program ${build}: this datapath has no users' programs`);
};

/** Opens the datapath of this network namespace on a panel. */
export function openDatapath({ panel, state = [], programs = noPrograms, ...rest }: DatapathOptions): Datapath {
  const kernel = {
    ports: new PanelPorts(panel.generations, panel.names),
    network: kernelNetwork,
    attacher: new KernelAttacher(join(panel.root, "links"), panel.programs),
    programs: new KernelUserPrograms(panel, programs),
  };
  return new Datapath({ ...rest, ...kernel, panel, state });
}
