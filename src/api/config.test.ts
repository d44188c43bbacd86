import { describe, expect, test } from "vitest";
import { ConfigError, defaultConfig, parseConfig } from "./config.ts";

const head = "apiVersion: weir.dev/v1alpha1\nkind: AgentConfig\n";
const read = (text: string, overrides = {}) => parseConfig(head + text, "agent.yaml", overrides);

test("there are no defaults for values that can be discovered", () => {
  expect(defaultConfig()).toEqual({
    apiVersion: "weir.dev/v1alpha1",
    kind: "AgentConfig",
    mode: "network",
    overlay: "vxlan",
    panelPorts: 4096,
    vxlan: { port: 4789, vni: 1 },
    state: "/var/lib/weir",
    bpffs: "/sys/fs/bpf",
    socket: "/run/weir/agent.sock",
    rules: {
      bandwidth: true,
      rate: true,
      rateUnit: "megabits",
      kubernetes: true,
      calico: true,
      loss: true,
      ebpfLimit: true,
      defaultLease: 60,
    },
  });
  expect(read("")).toEqual(defaultConfig());
});

test("a full file", () => {
  const config = read(`
node: node-1
addresses: [192.168.0.1, "fd00::1"]
podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]
overlay: direct
vxlan: { vni: 7 }
uplink: eth0
mtu: 1450
manifests: /etc/weir/manifests
metrics: "[::1]:9095"
rules: { rate: false, rateUnit: megabytes }
`);
  expect(config).toMatchObject({
    node: "node-1",
    addresses: ["192.168.0.1", "fd00::1"],
    vxlan: { port: 4789, vni: 7 },
    rules: { bandwidth: true, rate: false, rateUnit: "megabytes", kubernetes: true, calico: true },
  });
});

test("flags have precedence, undefined ones do not", () => {
  const config = read("node: a\nuplink: eth0\n", { node: "b", uplink: undefined, overlay: "direct" });
  expect(config).toMatchObject({ node: "b", uplink: "eth0", overlay: "direct" });
});

describe("errors name the file, the line and the field", () => {
  test.each([
    ["mtu: 100", "read agent.yaml:3: mtu: 100 is too small; write at least 1280"],
    ["vxlan:\n  port: 4789\n  vni: 0", "read agent.yaml:5: vxlan.vni: 0 is too small; write at least 1"],
    ["addresses:\n  - 10.0.0.1\n  - 010.0.0.1", "read agent.yaml:5: addresses.1: must be an IPv4 or IPv6 address"],
    ["addresses: [10.0.0.1, 10.0.0.2]", "read agent.yaml:3: addresses: at most one of each family"],
    ["podCIDRs: [10.0.0.0/33]", "read agent.yaml:3: podCIDRs.0: must be an IPv4 or IPv6 network"],
    [
      "podCIDRs: [10.0.0.1/8]",
      'read agent.yaml:3: podCIDRs.0: "10.0.0.1/8" has bits set beyond its prefix; 10.0.0.0/8',
    ],
    ["podCIDRs: [10.0.0.0/31]", "read agent.yaml:3: podCIDRs.0: has no room for a pod"],
    ["overlay: geneve", 'read agent.yaml:3: overlay: "geneve" is not one of vxlan, direct'],
    ["uplik: eth0", 'read agent.yaml:3: uplik: no field "uplik"; did you mean uplink?'],
    ["rules:\n  rates: no", 'read agent.yaml:4: rules.rates: no field "rates"; did you mean rate?'],
    ["rules: { rate: 'no' }", 'read agent.yaml:3: rules.rate: "no" is text, not true or false; write true or false'],
    ["bpffs: sys/fs/bpf", "read agent.yaml:3: bpffs: must be absolute"],
    ["state: /var/../etc", "read agent.yaml:3: state: must not hold '..'"],
    ["uplink: a b", "read agent.yaml:3: uplink: must be 1 to 15"],
    ["node: Node_1", "read agent.yaml:3: node: must be lower-case"],
    ["metrics: nine", "read agent.yaml:3: metrics: must be HOST:PORT"],
    ["node: [", "read agent.yaml:3: Flow sequence"],
    ["node: a\nnode: b", "read agent.yaml:4: Map keys must be unique"],
    ["addresses: &a [10.0.0.1]\npodCIDRs: *a", "read agent.yaml: aliases are not taken"],
  ])("%j", (text, message) => {
    expect(() => read(text)).toThrow(message);
    expect(() => read(text)).toThrow(ConfigError);
  });

  test.each([
    ["", "read agent.yaml: must be a map of fields"],
    ["- a", "read agent.yaml: must be a map of fields"],
    ["kind: AgentConfig", "read agent.yaml: apiVersion: is required; write weir.dev/v1alpha1"],
    [
      "apiVersion: weir.dev/v2\nkind: AgentConfig",
      'read agent.yaml:1: apiVersion: "weir.dev/v2" is not weir.dev/v1alpha1',
    ],
  ])("%j", (text, message) => {
    expect(() => parseConfig(text, "agent.yaml")).toThrow(message);
  });

  test("or the flags", () => {
    expect(() => read("node: a", { node: "B!" })).toThrow("read flags: node: must be lower-case");
  });
});
