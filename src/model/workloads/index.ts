export { type Expanded, type ExpandInput, expandWorkloads } from "./expand.ts";
export type { Finished, JobMemories } from "./jobs.ts";
export { type Bindings, type Scheduled, schedule } from "./schedule.ts";
