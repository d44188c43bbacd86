import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ConfigMap, Container, Pod, Volume, VolumeMount } from "../model/objects.ts";
import { makeWorkingDir } from "./rootfs.ts";
import { arrange, type Binding, bindVolumes, volumeProblems } from "./volumes.ts";

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "weir-volumes-"));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const meta = (name: string) => ({ name, namespace: "n", labels: {}, annotations: {} });
const podOf = (volumes: Volume[]): Pod => ({
  ...{ kind: "Pod", metadata: meta("p"), hostNetwork: false, containers: [], restartPolicy: "Always" },
  volumes,
});
const mounting = (...mounts: (Partial<VolumeMount> & { name: string })[]): Container => ({
  ...{ name: "c", command: [], args: [], env: [] },
  volumeMounts: mounts.map((one) => ({ mountPath: `/${one.name}`, readOnly: false, ...one })),
});
const map: ConfigMap = {
  ...{ kind: "ConfigMap", metadata: meta("conf") },
  data: { run: "#!/bin/sh\n", text: "t" },
  binaryData: { bytes: "AAH/\n/w==" },
};
const conf = (rest: object = {}): Volume => ({
  ...{ name: "conf", kind: "configMap", configMap: "conf", optional: false },
  ...rest,
});
const dirs = (container = "c") => ({ pod: scratch, container: `${scratch}/${container}` });
const bind = (volume: Volume, mount: Partial<VolumeMount> = {}, container = "c"): Binding =>
  bindVolumes(podOf([volume]), mounting({ name: volume.name, ...mount }), [map], dirs(container))[0] as Binding;
const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

describe("a ConfigMap's volume", () => {
  it("has files of text and binary data, readable by all users", () => {
    const { source, readOnly } = bind(conf());
    expect(readOnly).toBe(true);
    expect(readFileSync(`${source}/bytes`)).toEqual(Buffer.from([0, 1, 255, 255]));
    expect(["run", "text", "bytes"].map((name) => modeOf(`${source}/${name}`))).toEqual(["644", "644", "644"]);
  });

  it("has the requested default mode, and the mode of one file", () => {
    const items = [
      { key: "run", path: "bin/run", mode: 0o500 },
      { key: "text", path: "text" },
    ];
    const { source } = bind(conf({ defaultMode: 0o755, items }));
    expect([modeOf(`${source}/bin/run`), modeOf(`${source}/text`)]).toEqual(["500", "755"]);
  });

  it("does not change for one container when another one starts", () => {
    const { source } = bind(conf());
    const { ino } = statSync(source);
    expect(bind(conf(), {}, "other").source).not.toBe(source);
    expect(statSync(source).ino).toBe(ino);
  });
});

describe("an emptyDir", () => {
  const empty: Volume = { name: "scratch", kind: "emptyDir" };
  it("is writable by every user and shared by containers", () => {
    const { source } = bind(empty);
    expect(modeOf(source)).toBe("777");
    expect(bind(empty, {}, "other").source).toBe(source);
  });

  it.each([["persistentVolumeClaim"], ["ephemeral"]])("is mounted in place of %s, with a warning", (source) => {
    const claimed: Volume = { name: "scratch", kind: "other", source };
    expect(bind(claimed).source).toBe(bind(empty).source);
    expect(volumeProblems(podOf([claimed]))).toMatchObject([
      { severity: "skipped", message: expect.stringContaining("an empty directory is in its place") },
    ]);
  });

  it("a sub-path cannot leave it: a symbolic link in a container creates nothing on the machine", () => {
    const { source } = bind(empty);
    mkdirSync(`${scratch}/machine`);
    symlinkSync(`${scratch}/machine`, `${source}/out`);
    symlinkSync("../../machine", `${source}/up`);
    for (const subPath of ["out/made", "up/made", "out"])
      expect(() => bind(empty, { subPath })).toThrow(/refused \(it leads out\)/);
    expect(existsSync(`${scratch}/machine/made`)).toBe(false);
  });
});

describe("nested bindings", () => {
  const binding = (name: string, target: string, directory = true): Binding => {
    const source = `${scratch}/${name}`;
    mkdirSync(source, { recursive: true });
    return { source, target, directory, readOnly: false };
  };
  it("are mounted from the outside in, with their mount points created", () => {
    const all = [binding("deep", "/data/a/b"), binding("file", "/data/a/conf", false), binding("data", "/data")];
    expect(arrange(all).map(({ target }) => target)).toEqual(["/data", "/data/a/b", "/data/a/conf"]);
    expect(statSync(`${scratch}/data/a/b`).isDirectory()).toBe(true);
    expect(statSync(`${scratch}/data/a/conf`).isFile()).toBe(true);
  });

  it("create nothing on the machine through a container's symbolic link", () => {
    mkdirSync(`${scratch}/machine`);
    const data = binding("data", "/data");
    symlinkSync(`${scratch}/machine`, `${data.source}/evil`);
    expect(() => arrange([data, binding("b", "/data/evil/b")])).toThrow(/refused/);
    expect(existsSync(`${scratch}/machine/b`)).toBe(false);
  });

  it("contain a missing working directory", () => {
    const bindings = [binding("data", "/data"), binding("deep", "/data/deep")];
    const options = { dir: scratch, image: false, bindings };
    expect(makeWorkingDir("/data/deep/a/b", options)).toEqual([]);
    expect(statSync(`${scratch}/deep/a/b`).isDirectory()).toBe(true);
    expect(makeWorkingDir("/no-such-place/x", options)).toMatchObject([
      { target: "/no-such-place/x", directory: true },
    ]);
    expect(makeWorkingDir("/", options)).toEqual([]);
  });
});
