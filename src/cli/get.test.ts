import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { kinds } from "../api/kinds.ts";
import { Machine } from "./testing/harness.ts";
import { shop } from "./testing/samples.ts";

let machine: Machine;
beforeEach(async () => {
  machine = await Machine.create();
});
afterEach(() => machine.close());

describe("tables", () => {
  beforeEach(() => machine.agent("node-1", shop()));
  const table = async (...argv: string[]) => {
    const { code, out, err } = await machine.run(["get", ...argv]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    return `\n${out}`;
  };

  test("pods, in natural order, with untrusted text escaped", async () => {
    expect(await table("pods")).toMatchInlineSnapshot(`
      "
      NAMESPACE  NAME    NODE    IPS                          PROBLEMS
      shop       web-9   node-1  -                            read "x": no rate\\u{1b}[31m\\n
      shop       web-10  node-1  10.244.1.5,fd00:10:244:1::5  -
      "
    `);
  });
  test("pods -o wide", async () => {
    expect(await table("po", "-o", "wide")).toMatchInlineSnapshot(`
      "
      NAMESPACE  NAME    NODE    IPS                          DEVICE           VERSION  PROBLEMS
      shop       web-9   node-1  -                            -                7        read "x": no rate\\u{1b}[31m\\n
      shop       web-10  node-1  10.244.1.5,fd00:10:244:1::5  weir0123456789a  7        -
      "
    `);
  });
  test("limits", async () => {
    expect(await table("limits")).toMatchInlineSnapshot(`
      "
      NAMESPACE  POD     DIRECTION  CONFIGURED  EFFECTIVE      MEASURED  DROPPED  MARKED  WAIT P99  REASON
      shop       web-10  egress     1.5 Gbit/s          -             -        -       -         -  kernel has no htb
      shop       web-10  ingress     10 Mbit/s  10 Mbit/s  9.988 Mbit/s      100      12  < 100 ms  -
      "
    `);
  });
  test("impairments", async () => {
    expect(await table("impairments")).toMatchInlineSnapshot(`
      "
      NAMESPACE  POD     DIRECTION  CONFIGURED         FOR  STATE   PACKETS  LOST    LOSS  LEASE   REASON
      shop       web-10  egress     uniform egress 2%  -    active   100000  2013  2.01 %  59.5 s  -
      "
    `);
  });

  test("programs", async () => {
    expect(await table("programs")).toMatchInlineSnapshot(`
      "
      NAMESPACE  POD     DIRECTION  PROGRAM      EFFECTIVE            STATE   PACKETS  DROPPED  REASON
      shop       web-10  egress     drop-one-of  drop-one-of -DN=100  active     1000       10  -
      "
    `);
  });

  test("limits -o wide", async () => {
    expect(await table("limit", "-o", "wide")).toMatchInlineSnapshot(`
      "
      NAMESPACE  POD     NODE    DIRECTION  CONFIGURED  EFFECTIVE      MEASURED  RECEIVED  SENT  DROPPED  MARKED  DELAYED  QUEUED  LOST  WAIT P50  WAIT P99  AGO  SOURCE                           WRITTEN           MECHANISM  REASON
      shop       web-10  node-1  egress     1.5 Gbit/s          -             -         -     -        -       -        -       -     -         -         -    -  bandwidth                        1500 mbps egress  -          kernel has no htb
      shop       web-10  node-1  ingress     10 Mbit/s  10 Mbit/s  9.988 Mbit/s      5120  5000      100      12     4000      20     0   < 10 ms  < 100 ms  1 s  kubernetes.io/ingress-bandwidth  10M               htb        -
      "
    `);
  });
  test("ports", async () => {
    expect(await table("ports")).toMatchInlineSnapshot(`
      "
      NODE    PORT                    POD          STATE  PEER                    RECEIVED  SENT
      node-1  router:weir0123456789a  shop/web-10  up     device weir0123456789a      1200     7
      "
    `);
  });
  test("ports -o wide", async () => {
    expect(await table("ports", "-o", "wide")).toMatchInlineSnapshot(`
      "
      NODE    PORT                    POD          FUNCTION  STATE  PEER                    DEVICE           RECEIVED  SENT  RECEIVED BYTES  SENT BYTES
      node-1  router:weir0123456789a  shop/web-10  router    up     device weir0123456789a  weir0123456789a      1200     7         1800000         700
      "
    `);
  });
  test("chains", async () => {
    expect(await table("chains")).toMatchInlineSnapshot(`
      "
      NODE    PORT                    POD          DIRECTION  CHAIN
      node-1  router:weir0123456789a  shop/web-10  ingress    limit:shop/web-10:egress > router
      node-1  router:weir0123456789a  shop/web-10  egress     device weir0123456789a
      "
    `);
  });
  test("drops", async () => {
    expect(await table("drops")).toMatchInlineSnapshot(`
      "
      NODE    PORT                    POD          DIRECTION  REASON    PACKETS  BYTES  MEANING
      node-1  router:weir0123456789a  shop/web-10  egress     no_route        4    400  no route to the destination
      "
    `);
  });
  test("topology", async () => {
    expect(await table("topology")).toMatchInlineSnapshot(`
      "
      NODE    LINKS  ROUTES  INSTANCES  PORTS  SHAPERS  LEASES  ROWS
      node-1      0       0          0      0        0       0     0
      "
    `);
  });
  test("problems", async () => {
    expect(await table("problems")).toMatchInlineSnapshot(`
      "
      NODE    OBJECT          FIELD                 PROBLEM
      node-1  Pod/shop/web-9  metadata.labels.rate  read "x": no rate\\u{1b}[31m\\n
      "
    `);
  });
  test("endpoints", async () => {
    expect(await table("ep")).toMatchInlineSnapshot(`
      "
      NAMESPACE  NAME    NODE    DEVICE           MAC                IPS
      shop       web-10  node-1  weir0123456789a  02:00:00:00:00:01  10.244.1.5
      "
    `);
  });
  test("endpoints -o wide", async () => {
    expect(await table("ep", "-o", "wide")).toMatchInlineSnapshot(`
      "
      NAMESPACE  NAME    NODE    DEVICE           MAC                IPS         UID   NETNS
      shop       web-10  node-1  weir0123456789a  02:00:00:00:00:01  10.244.1.5  5e0f  /run/netns/x
      "
    `);
  });
});

test("colours are for terminals that want them", async () => {
  await machine.agent("node-1", shop());
  const outputs = async (isTTY: boolean, env: Record<string, string>) => {
    const written: string[] = [];
    await machine.run(["get", "limits"], {}, { stdout: { write: (text) => written.push(text), isTTY }, env });
    return written.join("");
  };
  expect(await outputs(true, {})).toContain("\u001b[");
  expect(await outputs(false, {})).not.toContain("\u001b");
  expect(await outputs(true, { NO_COLOR: "1" })).not.toContain("\u001b");
});

test("an empty list is reported on stderr", async () => {
  await machine.agent("node-1");
  expect(await machine.run(["get", "pods"])).toEqual({ code: 0, out: "", err: "no pods\n" });
  expect(await machine.run(["get", "pods", "-o", "json"])).toMatchObject({ code: 0, out: '{\n  "items": []\n}\n' });
});

describe("machine formats", () => {
  test("json has all nodes' items of a lab, rates as numbers in bit/s", async () => {
    await machine.agent("node-2", shop(), "a");
    await machine.agent("node-1", shop(), "a");
    const { code, out } = await machine.run(["get", "limits", "--lab", "a", "-o", "json"]);
    const { items } = JSON.parse(out);
    expect(code).toBe(0);
    expect(items).toHaveLength(4);
    expect(items[0]).toEqual({ node: "node-1", ...shop().limits?.[1] });
    expect(items.map((item: { node: string }) => item.node).sort()).toEqual(["node-1", "node-1", "node-2", "node-2"]);
  });

  test("yaml is the same", async () => {
    await machine.agent("node-1", shop());
    const json = JSON.parse((await machine.run(["get", "pods", "-o", "json"])).out);
    expect(parse((await machine.run(["get", "pods", "-o", "yaml"])).out)).toEqual(json);
  });

  test("a topology is one document per node", async () => {
    await machine.agent("node-1", {}, "a");
    await machine.agent("node-2", {}, "a");
    const { out } = await machine.run(["get", "topology", "--lab", "a", "-o", "yaml"]);
    const documents = parseAllDocuments(out).map((document) => document.toJS());
    expect(documents).toMatchObject([
      { apiVersion: "weir.dev/v1alpha1", kind: "Topology", metadata: { name: "node-1" }, spec: { rows: [] } },
      { metadata: { name: "node-2" } },
    ]);
    expect(JSON.parse((await machine.run(["get", "topology", "--lab", "a", "-o", "json"])).out).items).toEqual(
      documents,
    );
  });
});

describe("choosing", () => {
  const names = async (...argv: string[]) => {
    const { out } = await machine.run(["get", "pods", "-o", "json", ...argv]);
    return JSON.parse(out).items.map((item: { node: string; name: string }) => `${item.node}/${item.name}`);
  };
  beforeEach(async () => {
    const [web] = shop().pods ?? [];
    if (!web) throw new Error("no sample");
    await machine.agent("node-1", { pods: [web, { ...web, namespace: "default", name: "db" }] }, "a");
    await machine.agent("node-2", { pods: [{ ...web, name: "web-2" }] }, "a");
    await machine.agent("node-1", { pods: [{ ...web, name: "alone" }] });
  });
  test.each([
    [[], ["node-1/alone"]],
    [
      ["--lab", "a"],
      ["node-1/db", "node-2/web-2", "node-1/web-10"],
    ],
    [
      ["--lab", "a", "-A"],
      ["node-1/db", "node-2/web-2", "node-1/web-10"],
    ],
    [["--lab", "a", "-n", "default"], ["node-1/db"]],
    [
      ["--lab", "a", "-n", "default", "-A"],
      ["node-1/db", "node-2/web-2", "node-1/web-10"],
    ],
    [["--lab", "a", "--node", "node-2"], ["node-2/web-2"]],
    [["--lab", "a", "web-10"], ["node-1/web-10"]],
  ])("get pods %j", async (argv, expected) => {
    expect(await names(...argv)).toEqual(expected);
  });
});

describe("items of a pod", () => {
  test.each([
    [["ports", "-n", "shop"], 1],
    [["ports", "-n", "default"], 0],
    [["ports", "web-10"], 1],
    [["chains", "-n", "shop", "web-10"], 2],
    [["drops", "web-10"], 1],
    [["drops", "no_route"], 1],
    [["limits", "web-10"], 2],
    [["problems", "-n", "shop"], 1],
    [["problems", "web-9"], 1],
    [["problems", "-n", "default"], 0],
    [["topology"], 1],
  ])("get %j", async (argv, expected) => {
    await machine.agent("node-1", shop());
    const { out } = await machine.run(["get", ...argv, "-o", "json"]);
    expect(JSON.parse(out).items).toHaveLength(expected);
  });
});

test("get --help separates each kind from its description", async () => {
  const { out } = await machine.run(["get", "--help"]);
  for (const { name } of kinds) expect(out).toMatch(new RegExp(`^ {2}${name} +\\S`, "m"));
});

describe("failures", () => {
  test.each([
    [["get", "podz"], 2, "did you mean pods?"],
    [["get", "nonsense"], 2, "Kinds: pods, limits, impairments, programs, ports"],
    [["get"], 2, "missing required argument 'kind'"],
    [["get", "pods", "-o", "xml"], 2, "Allowed choices are table, wide, json, yaml"],
    [["get", "pods", "--lba", "x"], 2, "Did you mean --lab?"],
    [["get", "pods", "--lab", "a", "--socket", "/x"], 2, "--lab and --socket exclude each other"],
    [["get", "pods", "--socket", "/none"], 1, "weir: connect to agent at /none: ENOENT (is the agent running?"],
    [["get", "pods", "--lab", "b"], 1, 'find lab "b": not running (start it with weir lab up --name b; running: a)'],
    [["get", "pods", "--lab", "../.."], 1, 'find lab "../..": not running'],
    [["get", "pods", "--lab", "a", "--node", "node-11"], 1, "find node node-11 in lab a: did you mean node-1?"],
    [["get", "pods", "nobody", "--lab", "a"], 1, 'get pods "nobody": it does not exist'],
    [["gett"], 2, "Did you mean get?"],
    [[], 2, "Usage: weir"],
  ])("%j", async (argv, code, message) => {
    await machine.agent("node-1", shop(), "a");
    const ran = await machine.run(argv);
    expect(ran.code).toBe(code);
    expect(ran.err).toContain(message);
  });

  test("no agent and no lab, or several labs: a hint is given", async () => {
    const none = await machine.run(["get", "pods"]);
    expect(none).toMatchObject({ code: 1, out: "" });
    expect(none.err).toMatch(
      /^weir: connect to agent at \/run\/weir\/agent.sock: ENOENT \(is the agent running\?.*\)\n$/,
    );
    await machine.agent("node-1", shop(), "a");
    await machine.agent("node-1", shop(), "b");
    expect((await machine.run(["get", "pods"])).err).toContain("; labs that run: a, b (--lab NAME)\n");
  });

  test("no agent but one lab: the lab is selected and named", async () => {
    await machine.agent("node-1", shop(), "a");
    expect(await machine.run(["get", "pods"])).toMatchObject({
      code: 0,
      err: "lab a:\n",
      out: expect.stringMatching(/web-9/),
    });
    await machine.agent("node-1");
    expect(await machine.run(["get", "pods"])).toMatchObject({ code: 0, err: "no pods\n" });
  });

  test("of one agent do not affect the others' answers", async () => {
    await machine.agent("node-1", shop(), "a");
    const dead = await machine.agent("node-2", {}, "a");
    dead.pods = () => Promise.reject(new Error("map gone"));
    const { code, out, err } = await machine.run(["get", "pods", "--lab", "a", "-o", "json"]);
    expect({ code, err }).toEqual({ code: 1, err: "weir: node-2: map gone\n" });
    expect(JSON.parse(out).items).toHaveLength(2);
  });
});
