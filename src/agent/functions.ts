export { functions } from "../functions/index.ts";
