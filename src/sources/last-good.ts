import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { MAXIMUM_RATE, MINIMUM_RATE } from "../model/bandwidth.ts";
import { EXPONENTIAL } from "../model/impair.ts";
import type { Problem } from "../model/problem.ts";
import type { LastGood } from "../model/remembered.ts";
import { writeState } from "./atomic.ts";

const rule = z.object({
  direction: z.enum(["ingress", "egress"]),
  rate: z.number().int().min(MINIMUM_RATE).max(MAXIMUM_RATE),
  source: z.string(),
  configured: z.string(),
});
const probability = z.number().min(0).max(1);
const loss = z.object({
  direction: z.enum(["ingress", "egress"]),
  configured: z.string(),
  loss: z.discriminatedUnion("model", [
    z.object({ model: z.literal("uniform"), probability }),
    z.object({ model: z.literal("exponential"), threshold: z.number().int().min(0).max(EXPONENTIAL.scale) }),
  ]),
});
const program = z.object({
  direction: z.enum(["ingress", "egress"]),
  program: z.string(),
  macros: z.array(z.object({ name: z.string(), value: z.string() })),
  configured: z.string(),
});
const stored = z.array(
  z.tuple([
    z.string(),
    z.object({
      uid: z.string().optional(),
      byKey: z.record(z.string(), z.array(rule)),
      losses: z.record(z.string(), z.array(loss)).optional(),
      programs: z.record(z.string(), z.array(program)).optional(),
    }),
  ]),
);

/** Name of the store's file in the agent's state folder. */
export const RULES_FILE = "rules.json";

/**
 * The last valid rules, in `rules.json` in the agent's state folder, so that a limit with an invalid annotation stays
 * in force across a restart.
 */
export class LastGoodFile {
  /** Problems of the file at the start; it was renamed to `rules.json.broken`. */
  readonly problems: Problem[] = [];
  readonly #path: string;
  #written = "";

  /** Creates the folder. Throws if that fails. */
  constructor(folder: string) {
    this.#path = join(folder, RULES_FILE);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** The rules saved last; empty if there is no readable file. */
  load(): LastGood {
    try {
      const text = readFileSync(this.#path, "utf8");
      const rules = new Map(stored.parse(JSON.parse(text)));
      this.#written = text;
      return rules;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
      renameSync(this.#path, `${this.#path}.broken`);
      const message = "read last good rules: not readable; set aside as rules.json.broken, limits are read anew";
      this.problems.push({ object: this.#path, message });
      return new Map();
    }
  }

  /** Writes the file if the rules have changed. @throws the file system's error */
  save(rules: LastGood): void {
    const text = JSON.stringify([...rules].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (text === this.#written || (this.#written === "" && rules.size === 0)) return;
    writeState(this.#path, text);
    this.#written = text;
  }
}
