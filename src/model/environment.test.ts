import { describe, expect, it } from "vitest";
import { resolveContainer } from "./environment.ts";
import type { ConfigMap, Container, Pod, Secret } from "./objects.ts";

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
const secret: Secret = { ...map, kind: "Secret", metadata: { ...map.metadata, name: "s" }, data: { KEY: "hidden" } };
const elsewhere: ConfigMap = { ...map, metadata: { ...map.metadata, name: "d", namespace: "other" } };
const resolve = (container: Partial<Container>) =>
  resolveContainer(pod, { name: "main", command: [], args: [], env: [], ...container }, [map, secret, elsewhere], {
    podIPs: ["10.0.0.2", "fd00::2"],
    hostIPs: [],
    capacity: { cpu: "2", memory: "1Gi" },
  });
const env = (container: Partial<Container>) =>
  Object.fromEntries(resolve(container).env.map((one) => [one.name, one.value]));
const field = (name: string) => ({ name: "A", value: "", from: { field: name } });
const key = (name: string, key: string, optional = false, kind: "ConfigMap" | "Secret" = "ConfigMap") => ({
  name: "A",
  value: "",
  from: { kind, name, key, optional },
});
const whole = (name: string, prefix = "", optional = false, kind: "ConfigMap" | "Secret" = "ConfigMap") => ({
  ...{ kind, name, prefix, optional },
});
const asked = (resource: string, divisor = "1", container?: string) => ({
  name: "A",
  value: "",
  from: { resource, divisor, container },
});

describe("resolveContainer", () => {
  it.each([
    ["metadata.name", "p"],
    ["metadata.namespace", "n"],
    ["metadata.uid", "u"],
    ["metadata.labels['app']", "a"],
    ["metadata.labels['none']", ""],
    ["spec.nodeName", "node-1"],
    ["spec.serviceAccountName", "default"],
    ["status.podIP", "10.0.0.2"],
    ["status.podIPs", "10.0.0.2,fd00::2"],
  ])("takes %s", (name, expected) => expect(env({ env: [field(name)] })).toEqual({ A: expected }));

  it("takes ConfigMaps, with env over envFrom and a prefix", () => {
    const container = {
      envFrom: [whole("c", "P_")],
      env: [key("c", "KEY"), { name: "P_OTHER", value: "mine" }],
    };
    expect(env(container)).toEqual({ P_KEY: "from map", P_OTHER: "mine", A: "from map" });
  });

  it("takes Secrets, one key or all", () => {
    const container = { envFrom: [whole("s", "P_", false, "Secret")], env: [key("s", "KEY", false, "Secret")] };
    expect(env(container)).toEqual({ P_KEY: "hidden", A: "hidden" });
  });

  it.each([
    ["limits.cpu", "1", "2"],
    ["limits.cpu", "1m", "1500"],
    ["requests.cpu", "1m", "250"],
    ["requests.cpu", "0", "1"],
    ["limits.memory", "1Mi", "64"],
    ["requests.memory", "1", "67108864"],
    ["limits.ephemeral-storage", "1", "0"],
  ])("takes %s in units of %s", (resource, divisor, expected) => {
    const resources = { limits: { cpu: "1500m", memory: "64Mi" }, requests: { cpu: "0.25" } };
    expect(env({ env: [asked(resource, divisor)], resources })).toEqual({ A: expected });
  });

  it("takes the machine's share where no limit is asked for", () => {
    expect(env({ env: [asked("limits.memory", "1Mi")] })).toEqual({ A: "1024" });
    expect(env({ env: [asked("requests.memory", "1Mi")] })).toEqual({ A: "0" });
  });

  it("leaves out what the lab has not, and says so", () => {
    const { env: made, problems } = resolve({ env: [{ name: "A", value: "", from: { other: "fileKeyRef" } }] });
    expect(made).toEqual([]);
    expect(problems).toMatchObject([{ severity: "skipped", message: "the lab has no fileKeyRef: left out" }]);
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
    ["another namespace's map", { env: [key("d", "KEY")] }, "there is no ConfigMap n/d"],
    ["a map", { envFrom: [whole("x")] }, "there is no ConfigMap n/x"],
    ["a Secret's key", { env: [key("s", "NONE", false, "Secret")] }, 'Secret n/s has no key "NONE"'],
    ["a Secret", { env: [key("c", "KEY", false, "Secret")] }, "there is no Secret n/c"],
    ["a whole Secret", { envFrom: [whole("c", "", false, "Secret")] }, "there is no Secret n/c"],
    ["a container", { env: [asked("limits.cpu", "1", "none")] }, 'there is no container "none"'],
    ["an address", { env: [field("status.hostIP")] }, "the pod has no status.hostIP"],
  ])("says that %s is missing", (_, container, message) =>
    expect(resolve(container).problems).toMatchObject([{ object: "Pod/n/p", message }]),
  );

  it("leaves out what is optional", () => {
    const { env: made, problems } = resolve({
      env: [key("c", "NONE", true), key("x", "NONE", true, "Secret")],
      envFrom: [whole("x", "", true), whole("x", "", true, "Secret")],
    });
    expect([made, problems]).toEqual([[], []]);
  });
});
