import type { NetworkFunction } from "../model/function.ts";
import { custom } from "./custom/custom.ts";
import { impair } from "./impair/impair.ts";
import { limit } from "./limit/limit.ts";
import { router } from "./router/router.ts";
import { tap } from "./tap/tap.ts";

/** All network functions of a node. A new function is a folder and a line here. */
export const functions: readonly NetworkFunction[] = [router, tap, custom, impair, limit];
