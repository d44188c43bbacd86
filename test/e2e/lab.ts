import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll } from "vitest";
import { Stage, type StageOptions } from "../../src/bench/stage.ts";

export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
export const WEIR: readonly string[] = [`${REPOSITORY}bin/weir`];

/** The lab of a test file or describe block. */
export interface LabFixture {
  readonly stage: Stage;
}

/** Starts a lab before the block's tests and removes it after them; prints the agents' logs if a test has failed. */
export function lab(options: Omit<StageOptions, "weir">): LabFixture {
  let stage: Stage | undefined;
  beforeAll(async () => {
    stage = await Stage.up({ weir: WEIR, env: testEnvironment(), ...options });
  });
  afterEach((context) => {
    if (context.task.result?.state === "fail") process.stderr.write(stage?.logs() ?? "");
  });
  afterAll(() => stage?.down());
  return {
    get stage() {
      if (!stage) throw new Error("use the lab: it did not start");
      return stage;
    },
  };
}

/** The environment without certificates that cost every start of Node.js 40 ms. */
export function testEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  return { ...env, ...extra };
}
