export { type Expanded, type ExpandInput, expandWorkloads } from "./expand.ts";
export type { Finished } from "./jobs.ts";
export { type Bindings, type Scheduled, schedule } from "./schedule.ts";
