import { existsSync, rmSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { ECHO_PORT, trafficCommands } from "../../src/bench/pods.ts";
import type { Ended } from "../../src/bench/weir.ts";
import { inNamespace, MARK, NAMES, named, TEXTS, VALUES, withAnnotation, withRate } from "./hostile.ts";
import { lab } from "./lab.ts";

const commands = trafficCommands(0);

describe("hostile manifests", () => {
  const fixture = lab({
    nodes: 2,
    pods: [
      { name: "victim", node: "node-1", commands },
      { name: "neighbour", node: "node-2", commands },
    ],
  });
  let pids: number[] = [];
  const agents = async () => (await fixture.stage.nodes()).map(({ agentPid }) => agentPid);

  beforeAll(async () => {
    rmSync(MARK, { force: true });
    pids = await agents();
  });

  /** No command of a manifest ran, no process ended, packets pass. */
  afterEach(async () => {
    const { stage } = fixture;
    expect(existsSync(MARK)).toBe(false);
    expect(await agents()).toEqual(pids);
    for (const family of [4, 6] as const) {
      await stage.exec("neighbour", ["ping", "-n", "-c1", "-W2", stage.ip("victim", family)]);
    }
    const connect = `require("node:net").connect(${ECHO_PORT}, process.argv[1], () => process.exit(0)).on("error", () => process.exit(1))`;
    await stage.exec("neighbour", [process.execPath, "-e", connect, stage.ip("victim", 4)]);
  });

  const apply = (object: object | string): Promise<Ended> =>
    fixture.stage.attemptApply(typeof object === "string" ? object : stringify(object));

  /** Refused by an ordinary error, not by a crash, with at most one screen of printable text. */
  const expectRefused = (ended: Ended, reason: RegExp, what: string): void => {
    const said = ended.stdout + ended.stderr;
    expect(ended.code, `${what}: ${said.slice(0, 2000)}`).toBe(1);
    expect(said, what).toMatch(reason);
    expect(said, what).not.toMatch(/\n {4}at /);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: such characters are what must not come out
    expect(said, what).not.toMatch(/[\u0000-\u0008\u000b-\u001a\u202e]/);
    expect(said.length, what).toBeLessThan(5000);
  };

  /** Applies each object, a few at once, and expects each to be refused for the given reason. */
  const refuseAll = async (objects: Readonly<Record<string, readonly [object | string, RegExp]>>): Promise<void> => {
    const queue = Object.entries(objects);
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [what, [object, reason]] = next;
        expectRefused(await apply(object), reason, what);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
  };
  const each = (
    values: Readonly<Record<string, string>>,
    make: (value: string) => object,
    reason: RegExp,
  ): Record<string, [object, RegExp]> =>
    Object.fromEntries(Object.entries(values).map(([what, value]) => [what, [make(value), reason]]));

  test(`${Object.keys(VALUES).length} values of a bandwidth annotation`, async () => {
    for (const [what, value] of Object.entries(VALUES)) {
      expectRefused(await apply(withAnnotation("bandwidth", value)), /bandwidth/, what);
    }
    expect((await fixture.stage.limits()).filter(({ effective }) => effective !== null)).toEqual([]);
  });

  test("the same values as the other keys of limits", async () => {
    for (const what of ["command substitution", "a minus", "beyond every number", "digits of another script"]) {
      const value = VALUES[what] as string;
      expectRefused(await apply(withAnnotation("kubernetes.io/egress-bandwidth", value)), /egress-bandwidth/, what);
      expectRefused(await apply(withRate(value)), /rate/, what);
    }
  });

  test(`${Object.keys(NAMES).length} names of a pod, and as many namespaces`, async () => {
    const { nothing: _, ...namespaces } = NAMES; // none means `default`
    await refuseAll(each(NAMES, named, /name/));
    await refuseAll(each(namespaces, inNamespace, /namespace/));
  });

  test(`${Object.keys(TEXTS).length} texts that are not manifests`, () => refuseAll(TEXTS));

  test("a rule with any text is in force or refused", async () => {
    const value = fc.oneof(
      fc.string({ unit: "binary", maxLength: 40 }),
      fc
        .tuple(fc.string({ maxLength: 6 }), fc.constantFrom("bps", "kbits", "mbps"), fc.string({ maxLength: 8 }))
        .map((parts) => parts.join(" ")),
    );
    await fc.assert(
      fc.asyncProperty(value, async (text) => {
        const ended = await apply(withAnnotation("bandwidth", text));
        if (ended.code !== 0) return expectRefused(ended, /bandwidth/, JSON.stringify(text));
        const limits = (await fixture.stage.limits()).filter(({ pod }) => pod === "victim");
        expect(limits.length).toBeGreaterThan(0);
        expect(limits.every(({ configured, effective }) => configured === effective && effective !== null)).toBe(true);
      }),
      { numRuns: 12 },
    );
  });

  test("an invalid object is refused again when it is applied again", async () => {
    for (let turn = 0; turn < 2; turn++) {
      expectRefused(await apply(withAnnotation("bandwidth", "")), /bandwidth/, `turn ${turn}`);
    }
  });

  test("a pod with ten thousand annotations of others", async () => {
    const annotations = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`example.com/k${i}`, "v"]));
    const object = withAnnotation("bandwidth", "100 mbps egress") as { metadata: { annotations: object } };
    Object.assign(object.metadata.annotations, annotations);
    const ended = await apply(object);
    expect(ended.code, ended.stderr).toBe(0);
    expect(await fixture.stage.limits()).toMatchObject([{ pod: "victim", configured: 100e6, effective: 100e6 }]);
  });
});
