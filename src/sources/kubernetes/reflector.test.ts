import { afterEach, describe, expect, it, test } from "vitest";
import { fixedAccess } from "./access.ts";
import { KubernetesClient } from "./client.ts";
import { Reflector, type ReflectorOptions } from "./reflector.ts";
import type { RawObject } from "./resource.ts";
import {
  bookmark,
  event,
  list,
  pod,
  reset,
  type ScriptedServer,
  type Step,
  scriptedServer,
  silence,
  status,
  stream,
} from "./testing/scripted-server.ts";

const PODS = { apiVersion: "v1", kind: "Pod", plural: "pods" };
const MINUTE = 60_000;
const TIMES = { shortest: 5, longest: 20, list: MINUTE, silence: MINUTE, watch: MINUTE, lasting: 1000, absent: 30 };
/** Short timeouts, only for servers that never answer: on a busy machine every server is slow at times. */
const IMPATIENT = { ...TIMES, list: 1000, silence: 150 };
const LIST = "GET /api/v1/pods";
const WATCH = "watch /api/v1/pods";
const HOLD = stream([], "hold");

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
});

/** A reflector that keeps versions, and each state that it reported, as `a@1 b@2`. */
async function reflect(lists: Step[], watches: Step[], more: Partial<ReflectorOptions<string>> = {}) {
  const server = await scriptedServer({ [LIST]: lists, [WATCH]: watches });
  const client = new KubernetesClient(fixedAccess(server.config));
  const states: string[] = [];
  const keys: string[] = [];
  const troubles: string[] = [];
  const reflector: Reflector<string> = new Reflector({
    client,
    resource: PODS,
    read: (raw: RawObject) => raw.metadata.resourceVersion ?? "",
    onChange: (changed) => {
      keys.push([...changed].sort().join(" "));
      states.push(
        [...reflector.objects].map(([key, version]) => `${key.replace("default/", "")}@${version}`).join(" "),
      );
      if (reflector.trouble) troubles.push(reflector.trouble);
    },
    times: TIMES,
    ...more,
  });
  cleanup.push(
    () => server.close(),
    () => client.close(),
    () => reflector.close(),
  );
  const until = (state: string) => expect.poll(() => states.at(-1)).toBe(state);
  return { server, reflector, states, keys, troubles, until };
}
const requests = (server: ScriptedServer) =>
  server.seen.map(({ query }) =>
    query["watch"] ? `watch ${query["resourceVersion"]}` : `list ${query["continue"] ?? ""}`.trim(),
  );

describe("without failures", () => {
  it("lists by pages, then watches, and reports each change once", async () => {
    const lists = [list([pod("a", "1")], "5", "p2"), list([pod("b", "2")], "5")];
    const events = [event("ADDED", pod("c", "6")), event("MODIFIED", pod("a", "7")), event("DELETED", pod("b", "8"))];
    const { server, reflector, states, keys, until } = await reflect(lists, [stream(events, "hold")], {
      fieldSelector: "spec.nodeName=n1",
    });
    await reflector.synced;
    await until("a@7 c@6");
    expect(states).toEqual(["a@1 b@2", "a@1 b@2 c@6", "a@7 b@2 c@6", "a@7 c@6"]);
    expect(keys).toEqual(["default/a default/b", "default/c", "default/a", "default/b"]);
    expect(requests(server)).toEqual(["list", "list p2", "watch 5"]);
    expect(server.seen.every(({ query }) => query["fieldSelector"] === "spec.nodeName=n1")).toBe(true);
    expect(server.seen.map(({ query }) => query["limit"])).toEqual(["500", "500", undefined]);
  });

  it("reads each page before it asks for the next one, so that memory holds one page", async () => {
    const lists = [list([pod("a", "1")], "5", "p2"), list([pod("b", "2")], "5")];
    const order: string[] = [];
    const server = await scriptedServer({ [LIST]: lists, [WATCH]: [HOLD] });
    const client = new KubernetesClient(fixedAccess(server.config));
    const reflector = new Reflector({
      client: {
        server: client.server,
        watch: (...args) => client.watch(...args),
        list: (...args) => {
          order.push("list");
          return client.list(...args);
        },
      },
      resource: PODS,
      read: ({ metadata }: RawObject) => order.push(`read ${metadata.name}`),
      onChange: () => {},
      times: TIMES,
    });
    cleanup.push(
      () => server.close(),
      () => client.close(),
      () => reflector.close(),
    );
    await reflector.synced;
    expect(order).toEqual(["list", "read a", "list", "read b"]);
  });

  it("resumes from the newest bookmark when the server ends the watch", async () => {
    const watches = [stream([event("ADDED", pod("a", "6")), bookmark("9")], "end"), HOLD];
    const { server, until } = await reflect([list([], "5")], watches);
    await until("a@6");
    await expect.poll(() => requests(server)).toEqual(["list", "watch 5", "watch 9"]);
  });

  it("does not report an unchanged object", async () => {
    const watches = [stream([event("MODIFIED", pod("a", "6")), event("ADDED", pod("b", "7"))], "hold")];
    const same = { read: () => "same" };
    const { keys, until } = await reflect([list([pod("a", "1")], "5")], watches, same);
    await until("a@same b@same");
    expect(keys).toEqual(["default/a", "default/b"]);
  });
});

describe("with failures", () => {
  const first = list([pod("a", "1")], "5");
  const more = stream([event("ADDED", pod("b", "6"))], "hold");
  const gone = { code: 410, reason: "Expired", message: "too old resource version" };

  test.each<[string, Step[], string[], string | undefined]>([
    // the client itself repeats a request once on a kept connection
    ["resets before the answer", [reset, reset, more], ["watch 5", "watch 5", "watch 5"], "ECONNRESET"],
    ["a 500", [status(500, "InternalError"), more], ["watch 5", "watch 5"], "500 InternalError"],
    ["no answer", [silence, more], ["watch 5", "watch 5"], "ETIMEDOUT"],
    ["silence", [stream([bookmark("6")], "hold"), more], ["watch 5", "watch 6"], "ETIMEDOUT"],
    ["a reset amid the stream", [stream([bookmark("6")], "reset"), more], ["watch 5", "watch 6"], "ECONNRESET"],
    ["half a line", [stream([bookmark("6"), '{"type":"DELE'], "end"), more], ["watch 5", "watch 6"], "within a line"],
    ["no JSON", [stream(["<html>\n"], "hold"), more], ["watch 5", "watch 5"], "not JSON"],
    ["an end at once", [stream([], "end"), more], ["watch 5", "watch 5"], undefined],
    [
      "an ERROR event that is no 410",
      [stream([event("ERROR", { code: 500, reason: "InternalError" })], "end"), more],
      ["watch 5", "watch 5"],
      "500",
    ],
  ])("resumes a watch after %s", async (_, watches, expected, trouble) => {
    const times = trouble === "ETIMEDOUT" ? IMPATIENT : TIMES;
    const { server, states, troubles, reflector, until } = await reflect([first], watches, { times });
    await until("a@1 b@6");
    expect(new Set(states)).toEqual(new Set(["a@1", "a@1 b@6"])); // no change was lost
    expect(requests(server).slice(0, 1 + expected.length)).toEqual(["list", ...expected]);
    expect(reflector.trouble).toBeUndefined();
    if (trouble === undefined) expect(troubles).toEqual([]);
    else expect(troubles[0]).toContain(trouble);
  });

  test.each<[string, Step]>([
    ["an answer of 410", status(410, "Expired")],
    ["an ERROR event of 410", stream([event("ERROR", gone)], "end")],
    ["an event that cannot be followed", stream([event("ADDED", { metadata: { name: "x" } })], "hold")],
  ])("lists again after %s; objects deleted meanwhile are removed, others are kept", async (_, step) => {
    const second = list([pod("b", "7")], "9");
    const { server, states, keys, until } = await reflect([first, second], [step, HOLD]);
    await until("b@7");
    expect(new Set(states)).toEqual(new Set(["a@1", "b@7"]));
    expect(keys.at(-1)).toBe("default/a default/b");
    await expect.poll(() => requests(server)).toEqual(["list", "watch 5", "list", "watch 9"]);
  });

  it("lists again if the server keeps refusing the version", async () => {
    const refuse = Array.from({ length: 5 }, () => status(504, "Timeout", "Too large resource version"));
    const { server, until } = await reflect([first, list([pod("b", "2")], "3")], [...refuse, HOLD]);
    await until("b@2");
    await expect.poll(() => requests(server).at(-1)).toBe("watch 3");
  });

  test.each<[string, Step[], string[]]>([
    ["a reset", [reset, first], ["list", "list"]],
    ["a 500", [status(500, "InternalError"), first], ["list", "list"]],
    ["no answer", [silence, first], ["list", "list"]],
    [
      "a 500 between pages",
      [list([pod("x", "1")], "4", "p2"), status(500, "InternalError"), first],
      ["list", "list p2", "list"],
    ],
    [
      "a 410 between pages",
      [list([pod("x", "1")], "4", "p2"), status(410, "Expired"), first],
      ["list", "list p2", "list"],
    ],
    ["a 404", [status(404, "NotFound"), first], ["list", "list"]],
  ])("lists again after %s, and never shows a partial list", async (_, lists, expected) => {
    const times = lists.includes(silence) ? IMPATIENT : TIMES;
    const { server, reflector, states } = await reflect(lists, [HOLD], { times });
    await reflector.synced;
    expect(new Set(states.filter(Boolean))).toEqual(new Set(["a@1"]));
    expect(requests(server).filter((one) => one.startsWith("list"))).toEqual(expected);
  });

  it("lists without pages if the list expired between two pages", async () => {
    const { server, reflector } = await reflect([list([], "4", "p2"), status(410, "Expired"), first], [HOLD]);
    await reflector.synced;
    expect(server.seen.slice(0, 3).map(({ query }) => query["limit"])).toEqual(["500", "500", undefined]);
  });

  it("waits as long as a 429 asks, with back-off, and never loops without delay", async () => {
    const waits: number[] = [];
    const broken = status(500, "InternalError");
    const at: number[] = [];
    const timed =
      (step: Step): Step =>
      (response, request) => {
        at.push(performance.now());
        step(response, request);
      };
    const steps = [status(429, "TooManyRequests", "slow down", { "retry-after": "1" }), broken, broken, first].map(
      timed,
    );
    const { reflector } = await reflect(steps, [HOLD], {
      random: () => 1,
      times: { ...TIMES, shortest: 40, longest: 100 },
    });
    await reflector.synced;
    for (let i = 1; i < at.length; i++) waits.push(at[i]! - at[i - 1]!);
    const least = [1040, 80, 100];
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(least[i]! - 2);
    expect(waits).toHaveLength(3);
  });

  it("does not loop without delay if the server ends every watch at once", async () => {
    const { server, reflector } = await reflect([first], [stream([], "end")], {
      times: { ...TIMES, shortest: 50, longest: 50 },
    });
    await reflector.synced;
    const begin = performance.now();
    const before = server.seen.length;
    await new Promise((done) => setTimeout(done, 300));
    // a list and a watch per delay of 50 ms, however long this pause was
    const most = 2 * ((performance.now() - begin) / 50 + 1);
    expect(server.seen.length - before).toBeLessThanOrEqual(most);
  });
});

describe("a resource that may be absent", () => {
  const absent = status(404, "NotFound");
  const first = list([pod("a", "1")], "5");

  it("is synced without it, and finds it later", async () => {
    const { reflector, until } = await reflect([absent, first], [HOLD], { optional: true });
    await reflector.synced;
    expect([reflector.absent, reflector.objects.size, reflector.trouble]).toEqual([true, 0, undefined]);
    await until("a@1");
    expect(reflector.absent).toBe(false);
  });

  it("only treats its objects as deleted after a second 404", async () => {
    const once = await reflect([first, first], [absent, HOLD], { optional: true });
    await expect.poll(() => requests(once.server).slice(0, 4)).toEqual(["list", "watch 5", "list", "watch 5"]);
    expect(new Set(once.states)).toEqual(new Set(["a@1"]));
    const twice = await reflect([first, absent], [absent], { optional: true });
    await twice.until("");
    expect(twice.keys.at(-1)).toBe("default/a");
    expect(twice.reflector.absent).toBe(true);
  });
});

describe("closing", () => {
  it("closes the connection when its signal is aborted, while it watches", async () => {
    const abort = new AbortController();
    const { server, reflector } = await reflect([list([], "5")], [stream([bookmark("6")], "hold")], {
      signal: abort.signal,
    });
    await reflector.synced;
    await expect.poll(() => requests(server).length).toBe(2);
    abort.abort();
    await reflector.close();
    expect(reflector.trouble).toBeUndefined();
    await expect.poll(() => server.open()).toBeLessThanOrEqual(1); // the kept connection of the list
    expect(requests(server)).toHaveLength(2);
  });

  test.each([
    ["before it listed", silence],
    ["while it waits", status(500, "InternalError")],
  ])("rejects `synced` if it is closed %s", async (_, step) => {
    const { reflector } = await reflect([step], [HOLD], { times: { ...TIMES, shortest: 60_000, longest: 60_000 } });
    await new Promise((done) => setTimeout(done, 50));
    await reflector.close();
    await expect(reflector.synced).rejects.toThrow("list pods: closed");
  });
});
