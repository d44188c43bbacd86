import type { Modules } from "./modules.ts";

/** The programs of this build, each loaded when its command runs. */
export const systemModules: Partial<Modules> = {
  agent: async () => {
    const { preferSmallHeap } = await import("../agent/heap.ts");
    preferSmallHeap();
    return import("../agent/main.ts");
  },
  uninstall: () => import("../agent/uninstall.ts"),
  doctor: () => import("../agent/doctor.ts"),
  functions: () => import("../agent/functions.ts"),
  bench: () => import("../bench/commands.ts"),
  capabilities: () => import("../agent/capabilities.ts"),
  manifests: () => import("../agent/manifests.ts"),
  kubernetes: () => import("../agent/kubernetes-objects.ts"),
  lab: () => import("../lab/index.ts"),
};
