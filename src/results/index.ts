export { EventQuota } from "./events.ts";
export { forgetNodes } from "./forget.ts";
export { objectResultsOf, type Receipt } from "./object-results.ts";
export { type Results, type ResultsClient, ResultWriter } from "./writer.ts";
