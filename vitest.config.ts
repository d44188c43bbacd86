import { readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const S = 1000;
/** What is waited for comes when the machine gets to it. Vitest gives up after a second otherwise. */
const PATIENT = { poll: { timeout: 60 * S, interval: 20 } };

const { optionalDependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const pinned: string = optionalDependencies[`node-linux-${process.arch}`];
if (process.versions.node !== pinned) {
  throw new Error(`test Weir on Node.js ${process.versions.node}: it runs on ${pinned} (npm test, or npx vitest)`);
}

/**
 * Test layers by suffix; CONTRIBUTING.md says what belongs where. Timeouts are for what hangs, not for what is slow: a busy
 * machine takes several times as long. Those of this machine's kernel run one file at a time.
 */
export default defineConfig({
  test: {
    pool: "forks",
    env: { NODE_EXTRA_CA_CERTS: "" },
    projects: [
      {
        test: {
          name: "unit",
          include: ["{src,test,scripts}/**/*.test.ts"],
          exclude: ["**/*.{kernel,e2e,api,vm}.test.ts"],
          testTimeout: 90 * S,
          expect: PATIENT,
          isolate: false, // one process for each worker, not for each file: starts took half of the time
        },
      },
      layer("kernel", 180 * S),
      layer("e2e", 600 * S),
      layer("api", 300 * S, 1, "test/control-plane/setup.ts"),
      layer("vm", 900 * S, 2), // an emulated machine keeps little more than one processor busy
    ],
  },
});

function layer(name: string, timeout: number, maxWorkers = 1, globalSetup?: string) {
  return {
    test: {
      name,
      ...(globalSetup !== undefined && { globalSetup }),
      include: [`{src,test}/**/*.${name}.test.ts`],
      maxWorkers,
      testTimeout: timeout,
      expect: PATIENT,
      hookTimeout: timeout,
      teardownTimeout: 30 * S,
    },
  };
}
