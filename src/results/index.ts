export { EventQuota } from "./events.ts";
export { findingsOf } from "./findings.ts";
export { conditionsOf, entriesOf } from "./standing.ts";
export { managerOf, PLURALS, type Results, type ResultsClient, ResultWriter, SHARED } from "./writer.ts";
