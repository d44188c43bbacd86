import { defineConfig } from "vitest/config";

const S = 1000;

/** Test layers by suffix; CONTRIBUTING.md says what belongs where. Those of this machine's kernel run one file at a time. */
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
          testTimeout: 10 * S,
        },
      },
      layer("kernel", 60 * S),
      layer("e2e", 300 * S),
      layer("api", 120 * S, 1, "test/control-plane/setup.ts"),
      layer("vm", 300 * S, 2), // an emulated machine keeps little more than one processor busy
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
      hookTimeout: timeout,
      teardownTimeout: 30 * S,
    },
  };
}
