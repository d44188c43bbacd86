import { describe, expect, it } from "vitest";
import { resolveContainer } from "./environment.ts";
import type { ConfigMap, Container, Pod } from "./objects.ts";

const pod: Pod = {
  kind: "Pod",
  metadata: { name: "p", namespace: "n", uid: "u", labels: { app: "a" }, annotations: {} },
  nodeName: "node-1",
  hostNetwork: false,
  containers: [],
  restartPolicy: "Always",
};
const map: ConfigMap = {
  kind: "ConfigMap",
  metadata: { name: "c", namespace: "n", labels: {}, annotations: {} },
  data: { KEY: "from map", OTHER: "x" },
};
const elsewhere: ConfigMap = { ...map, metadata: { ...map.metadata, name: "d", namespace: "other" } };
const resolve = (container: Partial<Container>) =>
  resolveContainer(pod, { name: "main", command: [], args: [], env: [], ...container }, [map, elsewhere], {
    podIPs: ["10.0.0.2", "fd00::2"],
    hostIPs: [],
  });
const env = (container: Partial<Container>) =>
  Object.fromEntries(resolve(container).env.map((one) => [one.name, one.value]));
const field = (name: string) => ({ name: "A", value: "", from: { field: name } });
const key = (configMap: string, name: string, optional = false) => ({
  name: "A",
  value: "",
  from: { configMap, key: name, optional },
});

describe("resolveContainer", () => {
  it.each([
    ["metadata.name", "p"],
    ["metadata.namespace", "n"],
    ["metadata.uid", "u"],
    ["metadata.labels['app']", "a"],
    ["metadata.labels['none']", ""],
    ["spec.nodeName", "node-1"],
    ["status.podIP", "10.0.0.2"],
    ["status.podIPs", "10.0.0.2,fd00::2"],
  ])("takes %s", (name, expected) => expect(env({ env: [field(name)] })).toEqual({ A: expected }));

  it("takes ConfigMaps, with env over envFrom and a prefix", () => {
    const container = {
      envFrom: [{ configMap: "c", prefix: "P_", optional: false }],
      env: [key("c", "KEY"), { name: "P_OTHER", value: "mine" }],
    };
    expect(env(container)).toEqual({ P_KEY: "from map", P_OTHER: "mine", A: "from map" });
  });

  it("puts variables into values, command and args, in order", () => {
    const {
      command,
      args,
      env: made,
    } = resolve({
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "$(A)2$(C)" },
        { name: "C", value: "3" },
      ],
      command: ["echo", "$(B) $$(A) $(NONE) $HOME"],
      args: ["$$ $(C)"],
    });
    expect(made).toEqual([
      { name: "A", value: "1" },
      { name: "B", value: "12$(C)" },
      { name: "C", value: "3" },
    ]);
    expect([command, args]).toEqual([["echo", "12$(C) $(A) $(NONE) $HOME"], ["$ 3"]]);
  });

  it.each([
    ["a key", { env: [key("c", "NONE")] }, 'ConfigMap n/c has no key "NONE"'],
    ["another namespace's map", { env: [key("d", "KEY")] }, 'ConfigMap n/d has no key "KEY"'],
    ["a map", { envFrom: [{ configMap: "x", prefix: "", optional: false }] }, "there is no ConfigMap n/x"],
    ["an address", { env: [field("status.hostIP")] }, "the pod has no status.hostIP"],
  ])("says that %s is missing", (_, container, message) =>
    expect(resolve(container).problems).toMatchObject([{ object: "Pod/n/p", message }]),
  );

  it("leaves out what is optional", () => {
    const { env: made, problems } = resolve({
      env: [key("c", "NONE", true)],
      envFrom: [{ configMap: "x", prefix: "", optional: true }],
    });
    expect([made, problems]).toEqual([[], []]);
  });
});
