import { describe, expect, test } from "vitest";
import type { AgentConfig } from "../api/config.ts";
import type { ManifestObject } from "../model/objects.ts";
import { type ManifestWatch, parseManifests } from "../sources/manifests/index.ts";
import { untilKnown } from "./waiting.ts";

const node = (podCIDRs: readonly string[]): ManifestObject => {
  const text = JSON.stringify({ apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, spec: { podCIDRs } });
  return parseManifests(text, "x.json").objects[0]?.object as ManifestObject;
};

/** A wait for a source whose objects are set step by step. */
function wait(more: Partial<AgentConfig>, first: ManifestObject | undefined) {
  const changes = new EventTarget();
  const abort = new AbortController();
  const told: string[] = [];
  const state = { object: first, isOver: false };
  const source = {
    synced: Promise.resolve(),
    object: () => state.object,
    snapshot: () => ({ objects: [], problems: [] }),
  };
  const config: Pick<AgentConfig, "node" | "mode" | "kubernetes" | "podCIDRs"> = {
    ...{ node: "n1", mode: "network", kubernetes: {} },
    ...more,
  };
  const log = {
    warn: ({ object, message }: { object: string; message: string }) => told.push(`${object}: ${message}`),
  };
  const over = untilKnown(source as unknown as ManifestWatch, {
    ...{ config, changes, signal: abort.signal },
    log: log as never,
  }).then(() => {
    state.isOver = true;
  });
  const set = async (object: ManifestObject | undefined): Promise<boolean> => {
    state.object = object;
    changes.dispatchEvent(new Event("change"));
    await new Promise(setImmediate);
    return state.isOver;
  };
  return { told, set, over, abort };
}

describe("an agent on a Kubernetes API", () => {
  test("waits for its node's pod CIDRs, and tells so", async () => {
    const { told, set, over } = wait({}, undefined);
    expect(await set(undefined)).toBe(false);
    expect(await set(node([]))).toBe(false);
    expect(await set(node(["10.244.1.0/24"]))).toBe(true);
    await over;
    const hint = "(spec.podCIDRs; or set podCIDRs in the configuration)";
    expect(told).toEqual([`Node/n1: there is no such object yet ${hint}`]);
  });

  test("stops waiting when it is ended", async () => {
    const { set, over, abort } = wait({}, node([]));
    expect(await set(node([]))).toBe(false);
    abort.abort();
    await expect(over).rejects.toThrow("aborted");
  });

  test.each([
    ["has them in its configuration", { podCIDRs: ["10.244.1.0/24"] }],
    ["is beside another network", { mode: "chained" }],
    ["has no API", { kubernetes: undefined }],
  ] satisfies [string, Partial<AgentConfig>][])("that %s does not wait", async (_, more) => {
    const { told, over } = wait(more, undefined);
    await over;
    expect(told).toEqual([]);
  });
});
