import type { NetworkFunction } from "../model/function.ts";
import { custom } from "./custom/custom.ts";
import { impair } from "./impair/impair.ts";
import { limit } from "./limit/limit.ts";
import { router } from "./router/router.ts";
import { tap } from "./tap/tap.ts";

/** Every network function that a node loads. A new one is a folder and a line here. */
export const functions: readonly NetworkFunction[] = [router, tap, custom, impair, limit];
