import { expect, test } from "vitest";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { parseManifests } from "../sources/manifests/index.ts";
import { Store } from "../store/store.ts";
import { Cluster } from "./cluster.ts";

interface Written {
  ips: readonly string[];
  leaving?: boolean;
  hostNetwork?: boolean;
}

/** A cluster whose pods are put as an agent reads them. */
function cluster() {
  const one = new Cluster(new Store(), "n1", DEFAULT_RULE_SETTINGS);
  const put = (name: string, written: Written | undefined): void => {
    const document = written && {
      ...{ apiVersion: "v1", kind: "Pod" },
      metadata: { name, namespace: "ns", ...(written.leaving && { deletionTimestamp: "2026-01-01T00:00:00Z" }) },
      spec: { nodeName: "n1", hostNetwork: written.hostNetwork ?? false, containers: [{ name: "c" }] },
      status: { phase: "Running", podIPs: written.ips.map((ip) => ({ ip })) },
    };
    one.put(`Pod/ns/${name}`, document && parseManifests(JSON.stringify(document), "x", "agent").objects[0]?.object);
  };
  const state = () => Object.fromEntries([...one.addresses.rows()].map(([key, ips]) => [key.slice(3), ips]));
  return { put, state };
}

test("a pod that is being deleted keeps its addresses until another pod has them", () => {
  const { put, state } = cluster();
  put("old", { ips: ["10.0.0.7", "fd00::7"], leaving: true });
  expect(state()).toEqual({ old: ["10.0.0.7", "fd00::7"] });
  put("new", { ips: ["10.0.0.7"] });
  expect(state()).toEqual({ new: ["10.0.0.7"], old: ["fd00::7"] });
  put("new", { ips: ["10.0.0.8"] });
  expect(state()).toEqual({ new: ["10.0.0.8"], old: ["10.0.0.7", "fd00::7"] });
  put("new", { ips: ["fd00::7"] });
  put("new", undefined);
  expect(state()).toEqual({ old: ["10.0.0.7", "fd00::7"] });
});

test("whichever of the two is known first", () => {
  const { put, state } = cluster();
  put("new", { ips: ["10.0.0.7"] });
  put("old", { ips: ["10.0.0.7"] });
  expect(state()).toEqual({ new: ["10.0.0.7"], old: ["10.0.0.7"] });
  put("old", { ips: ["10.0.0.7"], leaving: true });
  expect(state()).toEqual({ new: ["10.0.0.7"], old: [] });
  put("old", undefined);
  expect(state()).toEqual({ new: ["10.0.0.7"] });
});

test("pods with the node's network share its address", () => {
  const { put, state } = cluster();
  put("a", { ips: ["192.0.2.1"], hostNetwork: true });
  put("b", { ips: ["192.0.2.1"], hostNetwork: true, leaving: true });
  expect(state()).toEqual({ a: ["192.0.2.1"], b: ["192.0.2.1"] });
});
