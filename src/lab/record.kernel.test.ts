import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { labNames } from "./names.ts";
import { listLabs, readRecord } from "./record.ts";

const scratch = mkdtempSync(join(tmpdir(), "weir-record-"));
chmodSync(scratch, 0o755);
const root = join(scratch, "labs");
mkdirSync(join(root, "shop"), { recursive: true, mode: 0o700 });
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function asNobody<T>(fn: () => T): T {
  process.seteuid?.(65534);
  try {
    return fn();
  } finally {
    process.seteuid?.(0);
  }
}

describe("labs", () => {
  it("are listed; the list is empty before the first one", () => {
    expect(listLabs(root)).toEqual(["shop"]);
    expect(listLabs(join(scratch, "none"))).toEqual([]);
  });

  it("are not reported as absent to a user without permission", () => {
    const refused = expect.objectContaining({ code: "not-root", message: expect.stringMatching(/EACCES .*try sudo/) });
    const caught = (fn: () => unknown): unknown => {
      try {
        return asNobody(fn);
      } catch (error) {
        return error;
      }
    };
    expect(caught(() => listLabs(root))).toEqual(refused);
    expect(caught(() => readRecord(labNames("shop", root)))).toEqual(refused);
    expect(() => readRecord(labNames("shop", root))).toThrow("not running");
  });
});
