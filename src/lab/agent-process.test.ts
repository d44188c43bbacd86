import { describe, expect, it } from "vitest";
import { agentArgv, restartDelay } from "./agent-process.ts";
import { backoff, exitCode, restarts } from "./container-loop.ts";
import { reached, toProblem } from "./in-force.ts";
import { labNames, nodeNames } from "./names.ts";

describe("agentArgv", () => {
  it("runs in the node's network namespace with the given capabilities only", () => {
    const lab = labNames("x");
    const argv = agentArgv({ command: ["node", "weir"], capabilities: ["bpf", "net_admin"] }, lab, nodeNames(lab, 2));
    expect(argv.join(" ")).toBe(
      "nsenter --net=/run/netns/weir.x.node-2 -- " +
        "setpriv --bounding-set=-all,+bpf,+net_admin --inh-caps=-all -- " +
        "node weir agent --node node-2 --socket /run/weir/labs/x/nodes/node-2/agent.sock " +
        "--manifests /run/weir/labs/x/cluster --state /run/weir/labs/x/nodes/node-2/state " +
        "--bpffs /run/weir/labs/x/bpf --config /run/weir/labs/x/nodes/node-2/agent.yaml --keep",
    );
  });
});

describe("restarting", () => {
  it("restarts an agent at once, then with growing delays", () => {
    expect([0, 1, 2, 3, 9].map(restartDelay)).toEqual([0, 100, 200, 400, 5000]);
  });
  it("backs off when a container keeps failing", () => {
    expect([0, 1, 2, 10].map(backoff)).toEqual([1000, 2000, 4000, 60_000]);
  });
  it.each([
    ["Always", false, true],
    ["Always", true, true],
    ["OnFailure", false, false],
    ["OnFailure", true, true],
    ["Never", true, false],
  ] as const)("policy %s, failed %s: %s", (policy, failed, again) => expect(restarts(policy, failed)).toBe(again));
  it("a signal's exit code is that of a shell", () => {
    expect(exitCode({ code: null, signal: "SIGKILL" }, { SIGKILL: 9 })).toBe(137);
    expect(exitCode({ code: 3, signal: null }, {})).toBe(3);
  });
});

describe("in force", () => {
  it.each([
    ["7", "7", true],
    ["10", "9", true],
    ["9", "10", false],
    [null, "1", false],
    ["x", "1", false],
  ])("seen %j, wanted %j: %s", (seen, wanted, done) => expect(reached(seen, wanted)).toBe(done));
  it("accepts an agent's problem as text or as an object", () => {
    expect(toProblem("a/b", "bad")).toEqual({ object: "Pod/a/b", message: "bad" });
    expect(toProblem("a/b", { message: "bad", path: "x" })).toMatchObject({ message: "bad", path: "x" });
    expect(toProblem("a/b", null).message).toBe("null");
  });
});
