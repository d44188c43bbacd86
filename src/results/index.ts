export { EventQuota } from "./events.ts";
export { findingsOf } from "./findings.ts";
export { forgetNodes } from "./forget.ts";
export { type Results, type ResultsClient, ResultWriter } from "./writer.ts";
