import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  watch as watchReally,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ManifestStore } from "./store.ts";
import { type ManifestWatch, readManifests, type WatchOptions, watchManifests } from "./watch.ts";

const pod = (name: string, rate = "10 mbps egress") =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n  annotations: {bandwidth: ${rate}}\nspec: {containers: [{name: c}]}\n`;

let folder: string;
let open: ManifestWatch[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-manifests-"));
});
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
  rmSync(folder, { recursive: true });
});
const file = (name: string) => join(folder, name);
const write = (name: string, text: string) => writeFileSync(file(name), text);

/** A watch whose `until` waits for a matching snapshot, and returns the keys that changed. */
async function watched(path = folder, options: Partial<WatchOptions> = {}) {
  const keys = new Set<string>();
  let wake = () => {};
  const watch = watchManifests({
    reader: "agent",
    ...options,
    path,
    onChange: (changed) => {
      for (const key of changed) keys.add(key);
      wake();
    },
  });
  open.push(watch);
  await watch.synced;
  const rates = () =>
    Object.fromEntries(
      watch.snapshot().objects.map((one) => [one.metadata.name, one.metadata.annotations.bandwidth ?? "none"]),
    );
  const until = async (expected: Record<string, string>) => {
    const end = performance.now() + 60_000;
    while (JSON.stringify(rates()) !== JSON.stringify(expected) && performance.now() < end) {
      await new Promise<void>((done) => {
        wake = done;
        setTimeout(done, 100);
      });
    }
    expect(rates()).toEqual(expected);
    const changed = [...keys].sort();
    keys.clear();
    return changed;
  };
  return { watch, rates, until };
}

const A = "10 mbps egress";
const B = "20 mbps egress";

describe("watchManifests", { timeout: 60_000 }, () => {
  it("notices edits in place, renames, new files, new folders and deletions", async () => {
    write("a.yaml", pod("a"));
    const { until } = await watched();
    await until({ a: A });
    write("a.yaml", pod("a", B));
    expect(await until({ a: B })).toEqual(["Pod/default/a"]);
    write("a.tmp", pod("a", A));
    renameSync(file("a.tmp"), file("a.yaml"));
    expect(await until({ a: A })).toEqual(["Pod/default/a"]);
    mkdirSync(file("sub"));
    write(
      "sub/b.json",
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"},"spec":{"containers":[{"name":"c"}]}}',
    );
    expect(await until({ a: A, b: "none" })).toEqual(["Pod/default/b"]);
    unlinkSync(file("a.yaml"));
    rmSync(file("sub"), { recursive: true });
    expect(await until({})).toEqual(["Pod/default/a", "Pod/default/b"]);
  });

  it("notices an update of a mounted ConfigMap", async () => {
    mkdirSync(file("..1"));
    write("..1/a.yaml", pod("a"));
    symlinkSync("..1", file("..data"));
    symlinkSync("..data/a.yaml", file("a.yaml"));
    const { until } = await watched();
    await until({ a: A });
    for (const [generation, rate] of [
      ["..2", B],
      ["..3", A],
    ] as const) {
      mkdirSync(file(generation));
      write(`${generation}/a.yaml`, pod("a", rate));
      symlinkSync(generation, file("..data_tmp"));
      renameSync(file("..data_tmp"), file("..data"));
      expect(await until({ a: rate })).toEqual(["Pod/default/a"]);
    }
  });

  it("watches one file that is repeatedly replaced by rename", async () => {
    write("a.yaml", pod("a"));
    write("other.yaml", pod("other"));
    const { until } = await watched(file("a.yaml"));
    await until({ a: A });
    for (const rate of [B, A, B, A]) {
      write("a.yaml.new", pod("a", rate));
      renameSync(file("a.yaml.new"), file("a.yaml"));
      await until({ a: rate });
    }
    unlinkSync(file("a.yaml"));
    await new Promise((done) => setTimeout(done, 150));
    write("a.yaml", pod("a", B));
    await until({ a: B });
  });

  it("keeps the last valid objects of a broken file, with a problem", async () => {
    write("a.yaml", pod("a"));
    const { watch, until } = await watched();
    write("a.yaml", `${pod("a", B)}\t- : :\n`);
    await expect
      .poll(() => watch.snapshot().problems)
      .toMatchObject([{ object: "a.yaml", at: expect.stringMatching(/^a.yaml:7/) }]);
    await until({ a: A });
    write("a.yaml", pod("a", B));
    await until({ a: B });
    expect(watch.snapshot().problems).toEqual([]);
  });

  it("does not treat a file that is being rewritten as deleted", async () => {
    write("a.yaml", pod("a"));
    const { watch, until, rates } = await watched();
    const seen: number[] = [];
    for (let round = 0; round < 5; round++) {
      truncateSync(file("a.yaml"));
      await new Promise((done) => setTimeout(done, 20));
      seen.push(Object.keys(rates()).length);
      write("a.yaml", pod("a", round % 2 ? A : B));
      await until({ a: round % 2 ? A : B });
    }
    expect(seen).toEqual([1, 1, 1, 1, 1]);
    expect(watch.snapshot().problems).toEqual([]);
  });

  it("keeps the last state when the folder is removed", async () => {
    const below = file("cluster");
    mkdirSync(below);
    write("cluster/a.yaml", pod("a"));
    const { watch, until } = await watched(below);
    rmSync(below, { recursive: true });
    await expect.poll(() => watch.snapshot().problems).toMatchObject([{ object: "manifests" }]);
    await until({ a: A });
  });

  it("notices each of many consecutive edits", async () => {
    write("a.yaml", pod("a"));
    const { until } = await watched();
    for (let round = 0; round < 15; round++) {
      write("a.yaml", pod("a", `${round + 1} mbps egress`));
      await until({ a: `${round + 1} mbps egress` });
    }
  });

  it("rejects a missing path, and closes on a signal", async () => {
    const missing = watchManifests({ reader: "agent", path: file("none"), onChange: () => {} });
    await expect(missing.synced).rejects.toMatchObject({
      code: "ENOENT",
      message: expect.stringContaining("read manifests"),
    });
    const stop = new AbortController();
    let events = 0;
    const watch = watchManifests({ reader: "agent", path: folder, signal: stop.signal, onChange: () => events++ });
    await watch.synced;
    stop.abort();
    write("a.yaml", pod("a"));
    await new Promise((done) => setTimeout(done, 100));
    expect(events).toBe(0);
    await watch.close();
  });
});

describe("without inotify resources", () => {
  it.each([
    ["EMFILE", "fs.inotify.max_user_instances"],
    ["ENOSPC", "fs.inotify.max_user_watches"],
  ])("%s: is a problem, changes are found by scanning, and watching resumes later", async (code, setting) => {
    let left = false;
    const watchFolder = ((...args: Parameters<typeof watchReally>) => {
      if (!left) throw Object.assign(new Error(code), { code });
      return watchReally(...args);
    }) as typeof watchReally;
    write("a.yaml", pod("a"));
    const { watch, until } = await watched(folder, { watchFolder, rescan: 20 });
    const message = expect.stringMatching(new RegExp(`^watch ".*": .*${setting}.* looking every 0.02 s$`));
    const problem = { object: "manifests", severity: "warning", message };
    expect(watch.troubles()).toEqual([problem]);
    expect(watch.snapshot().problems).toEqual([problem]);
    write("a.yaml", pod("a", B));
    await until({ a: B });
    left = true;
    await expect.poll(() => watch.snapshot().problems).toEqual([]);
  });
});

describe("a path that is missing for a while", () => {
  it("is a trouble with the time since when the state may be out of date", async () => {
    write("a.yaml", pod("a"));
    const path = file("a.yaml");
    const { watch } = await watched(path);
    const before = Date.now();
    unlinkSync(path);
    await expect.poll(() => watch.troubles()).toMatchObject([{ object: "manifests" }]);
    expect(watch.troubles()[0]?.staleSince).toBeGreaterThanOrEqual(before);
    write("a.yaml", pod("a"));
    await expect.poll(() => watch.troubles()).toEqual([]);
  });
});

describe("ManifestStore", () => {
  it("parses only what changed and keeps equal objects identical", () => {
    for (let i = 0; i < 20; i++) write(`${i}.yaml`, pod(`p${i}`));
    const store = new ManifestStore(folder, "agent");
    store.scan(true);
    const before = store.snapshot.objects;
    write("3.yaml", pod("p3", B));
    write("4.yaml", `# a comment\n${pod("p4")}`);
    const { changed } = store.scan(false);
    expect([...changed]).toEqual(["Pod/default/p3"]);
    expect(store.parsed).toBe(22);
    expect(store.snapshot.objects.filter((one) => before.includes(one))).toHaveLength(19);
  });

  it("reads UTF-16, and names another encoding", () => {
    writeFileSync(file("a.yaml"), Buffer.from(`\ufeff${pod("a")}`, "utf16le"));
    writeFileSync(file("b.yaml"), Buffer.from(`# \u00e4\n${pod("b")}`, "latin1"));
    const { objects, problems } = readManifests(folder);
    expect(objects.map((one) => one.metadata.name)).toEqual(["a"]);
    expect(problems).toEqual([{ object: "b.yaml", message: "is not text in UTF-8; save it in UTF-8" }]);
  });

  it("reports an object that is written twice, in both places; the first file counts", () => {
    write("a.yaml", pod("x", A));
    write("b.yaml", `${pod("y")}---\n${pod("x", B)}`);
    const { objects, problems } = readManifests(folder);
    expect(objects.map((one) => one.metadata.annotations.bandwidth)).toEqual([A, A]);
    expect(problems).toEqual([
      { object: "Pod/default/x", at: "a.yaml:1:1", message: "is written again at b.yaml:8:1; this one counts" },
      {
        object: "Pod/default/x",
        at: "b.yaml:8:1",
        message: "is written at a.yaml:1:1 already, which counts; remove one",
      },
    ]);
  });

  it("ignores hidden files, other files, loops and pipes, and reports unreadable files", () => {
    write(".hidden.yaml", pod("a"));
    write("notes.txt", "text");
    symlinkSync(".", file("loop"));
    symlinkSync("nowhere", file("dangling.yaml"));
    mkdirSync(file("dir.yaml"));
    write("big.yaml", "#".repeat(4 * 1024 * 1024 + 1));
    const { objects, problems } = readManifests(folder);
    expect(objects).toEqual([]);
    expect(problems.map((one) => `${one.object}: ${one.message}`)).toEqual([
      "dangling.yaml: read file: ENOENT",
      "big.yaml: has 4194305 bytes, more than 4194304; split it",
    ]);
  });
});
