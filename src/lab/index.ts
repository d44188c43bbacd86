export { apply, changes, del, objects } from "./commands/change.ts";
export { down } from "./commands/down.ts";
export { exec } from "./commands/exec.ts";
export { list, logs, status } from "./commands/show.ts";
export { supervise } from "./commands/supervise.ts";
export { up } from "./commands/up.ts";
export type { LabStatus, NodeStatus, PodStatus } from "./status.ts";
