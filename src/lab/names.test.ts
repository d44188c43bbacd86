import { describe, expect, it } from "vitest";
import { isNamespaceName, isPodName, labNames, nodeNames, podNetns } from "./names.ts";

describe("labNames", () => {
  it.each(["default", "a", "0", "my-lab-2", "a".repeat(20)])("accepts %j", (name) => {
    expect(labNames(name).dir).toBe(`/run/weir/labs/${name}`);
  });
  it.each(["", "A", "-a", "a-", "a.b", "a/b", "..", "a b", "a\n", "é", "a".repeat(21)])("refuses %j", (name) => {
    expect(() => labNames(name)).toThrow(/not valid/);
  });
  it("namespaces of two labs never share a prefix", () => {
    const [one, two] = [labNames("a"), labNames("a-b")];
    expect(podNetns(two, "x", "y").startsWith(one.netnsPrefix)).toBe(false);
  });
});

describe("nodeNames", () => {
  it("derives addresses from the index", () => {
    const node = nodeNames(labNames("x"), 10);
    expect(node.addresses).toEqual(["172.30.0.10/24", "fd00:172:30::10/64"]);
    expect(node.podCIDRs).toEqual(["10.244.10.0/24", "fd00:10:244:10::/64"]);
    expect(node.netns).toBe("weir.x.node-10");
  });
});

describe("podNetns", () => {
  const lab = labNames("x");
  it("is readable if short and hashed if long", () => {
    expect(podNetns(lab, "shop", "web-1.a")).toBe("weir.x.shop.web-1.a");
    const long = podNetns(lab, "shop", "p".repeat(250));
    expect(long).toMatch(/^weir\.x\.pod_[0-9a-f]{32}$/);
    expect(podNetns(lab, "shop", `${"p".repeat(249)}q`)).not.toBe(long);
  });
  it("never equals a node's namespace or the bridge's", () => {
    expect(podNetns(lab, "node-1", "a")).not.toBe(nodeNames(lab, 1).netns);
    expect(podNetns(lab, "net", "a")).not.toBe(lab.netNetns);
  });
});

describe("Kubernetes names", () => {
  it.each([
    ["a", true],
    ["a.b-c.d", true],
    ["a..b", false],
    [".", false],
    ["..", false],
    ["a/b", false],
    ["A", false],
    ["a".repeat(253), true],
    ["a".repeat(254), false],
    ["../a", false],
    ["a\n", false],
    [`${"a".repeat(63)}.b`, true],
  ])("pod %j: %s", (name, good) => expect(isPodName(name)).toBe(good));
  it.each([
    ["default", true],
    ["a.b", false],
    ["pod_x", false],
  ])("namespace %j: %s", (name, good) => expect(isNamespaceName(name)).toBe(good));
});
