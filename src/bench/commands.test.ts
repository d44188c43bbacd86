import { expect, test, vi } from "vitest";
import { bench, benches } from "./commands.ts";

const io = (signal: AbortSignal) => {
  const said: string[] = [];
  const out = { write: (text: string) => void said.push(text) };
  return { said, stdout: out, stderr: out, env: { NODE_EXTRA_CA_CERTS: "x", KEPT: "1" }, signal };
};

test("all run in order, except those that take hours or need another build, in an environment that starts Node.js fast", async () => {
  const ran: string[] = [];
  for (const name of Object.keys(benches) as (keyof typeof benches)[]) {
    vi.spyOn(benches, name).mockResolvedValue(async ({ env, weir, quick, out }) => {
      expect({ env, weir, quick, out }).toEqual({ env: { KEPT: "1" }, weir: ["weir"], quick: true, out: "there" });
      ran.push(name);
      return [{ what: "x", measured: "1", target: "0", verdict: "misses" }];
    });
  }
  const code = await bench({ what: "all", out: "there", quick: true }, io(new AbortController().signal), ["weir"]);
  expect(code).toBe(0);
  expect(ran).toEqual(
    Object.keys(benches).filter(
      (name) => !["matrix", "steps", "changes", "shares", "cpu", "pairs", "scale"].includes(name),
    ),
  );
  vi.restoreAllMocks();
});

test("Ctrl+C ends gracefully, another error is thrown", async () => {
  const controller = new AbortController();
  vi.spyOn(benches, "live").mockResolvedValue(async () => {
    controller.abort();
    throw new Error("the operation was aborted");
  });
  const interrupted = io(controller.signal);
  expect(await bench({ what: "live", out: "x", quick: true }, interrupted, ["weir"])).toBe(130);
  expect(interrupted.said.join("")).toContain("interrupted");
  vi.spyOn(benches, "live").mockResolvedValue(async () => Promise.reject(new Error("boom")));
  const running = io(new AbortController().signal);
  await expect(bench({ what: "live", out: "x", quick: true }, running, ["weir"])).rejects.toThrow("boom");
  vi.restoreAllMocks();
});
