import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { leftovers } from "./leftovers.ts";

test("everything is removed in reverse order, once, continuing after failures", () => {
  const done: string[] = [];
  const undo = leftovers();
  undo.defer(() => done.push("folder"));
  undo.defer(() => {
    throw new Error("umount: EBUSY");
  });
  undo.defer(() => done.push("namespace"));
  expect(() => undo.dispose()).toThrow("EBUSY");
  undo.dispose();
  expect(done).toEqual(["namespace", "folder"]);
});

test.each([
  ["a constructor that failed", 'throw new Error("no panel")', 1],
  ["a process that ends by itself", "", 0],
  ["one that is ended", 'setInterval(() => {}, 1000); process.kill(process.pid, "SIGTERM")', 143],
])("what nobody took away goes with the process: %s", (_, more, status) => {
  const path = JSON.stringify(new URL("leftovers.ts", import.meta.url).href);
  const program = `import { leftovers } from ${path};
    const undo = leftovers();
    undo.defer(() => process.stdout.write("gone"));
    ${more}`;
  const run = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" });
  expect([run.status, run.stdout]).toEqual([status, "gone"]);
});
