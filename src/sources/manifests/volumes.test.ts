import { describe, expect, it } from "vitest";
import type { Pod, StatefulSet } from "../../model/objects.ts";
import { parseManifests } from "./parse.ts";

const pod = (volumes: unknown, volumeMounts: unknown) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p" },
    spec: { volumes, containers: [{ name: "c", volumeMounts }] },
  });
const read = (volumes: unknown, mounts: unknown) => parseManifests(pod(volumes, mounts), "f.json");
const mount = (more: object) => [{ name: "v", mountPath: "/m", ...more }];

describe("volumes", () => {
  it("are read with their mounts", () => {
    const volumes = [{ name: "v", configMap: { name: "m", items: [{ key: "k", path: "a/b" }] } }, { name: "w" }];
    const { objects, problems } = read(volumes, mount({ subPath: "a", readOnly: true }));
    expect(problems).toEqual([]);
    const [pod] = objects.map((one) => one.object as Pod);
    const { volumes: found, containers } = pod as Pod;
    expect(found).toEqual([
      { name: "v", kind: "configMap", configMap: "m", optional: false, items: [{ key: "k", path: "a/b" }] },
      { name: "w", kind: "emptyDir" },
    ]);
    expect(containers[0]?.volumeMounts).toEqual([{ name: "v", mountPath: "/m", subPath: "a", readOnly: true }]);
  });

  it("have the modes of their files, in octal as kubectl reads them", () => {
    const text = [
      ...["apiVersion: v1", "kind: Pod", "metadata: { name: p }", "spec:", "  containers: [{ name: c }]", "  volumes:"],
      "    - { name: a, configMap: { name: m, defaultMode: 0755, items: [{ key: k, path: k, mode: 0o400 }] } }",
      "    - { name: b, configMap: { name: m, defaultMode: 420 } }",
    ].join("\n");
    const { objects, problems } = parseManifests(text, "f.yaml");
    expect(problems).toEqual([]);
    expect((objects[0]?.object as Pod | undefined)?.volumes).toMatchObject([
      { defaultMode: 0o755, items: [{ key: "k", path: "k", mode: 0o400 }] },
      { defaultMode: 0o644 },
    ]);
    const refused = parseManifests(text.replace("420", "512"), "f.yaml");
    expect(refused.problems[0]?.message).toBe("must be a mode from 0 to 0777, such as 0755");
  });

  it("of a StatefulSet include its claims, which replace the template's own", () => {
    const labels = { app: "db" };
    const containers = [{ name: "c", volumeMounts: [{ name: "data", mountPath: "/d" }] }];
    const set = (volumeClaimTemplates: unknown, volumes?: unknown) =>
      JSON.stringify({
        ...{ apiVersion: "apps/v1", kind: "StatefulSet", metadata: { name: "db" } },
        spec: {
          ...{ selector: { matchLabels: labels }, volumeClaimTemplates },
          template: { metadata: { labels }, spec: { containers, volumes } },
        },
      });
    const claim = [{ metadata: { name: "data" }, spec: { accessModes: ["ReadWriteOnce"] } }];
    const others = [
      { name: "data", emptyDir: {} },
      { name: "x", emptyDir: {} },
    ];
    const { objects, problems } = parseManifests(set(claim, others), "f.json");
    expect(problems).toEqual([]);
    expect((objects[0]?.object as StatefulSet | undefined)?.template.spec.volumes).toEqual([
      { name: "x", kind: "emptyDir" },
      { name: "data", kind: "other", source: "persistentVolumeClaim" },
    ]);
    for (const bad of [undefined, [{ metadata: { name: "../x" } }], [{}], "data", { data: 1 }]) {
      expect(parseManifests(set(bad), "f.json").objects).toEqual([]);
    }
    expect(parseManifests(set(claim, { a: 1 }), "f.json").objects).toEqual([]);
  });

  it.each([
    ["a mount of no volume", [{ name: "w" }], mount({}), "there is no volume v"],
    ["a relative mount path", [{ name: "v" }], mount({ mountPath: "m" }), "must be an absolute path"],
    ["a mount path that climbs", [{ name: "v" }], mount({ mountPath: "/a/../b" }), "must be an absolute path"],
    ["the root as mount path", [{ name: "v" }], mount({ mountPath: "/" }), "must be an absolute path"],
    ["a sub-path that climbs", [{ name: "v" }], mount({ subPath: "../.." }), "must be a path below the volume"],
    ["an absolute sub-path", [{ name: "v" }], mount({ subPath: "/etc" }), "must be a path below the volume"],
    ["a volume's name with a slash", [{ name: "../v" }], [], "must be lower-case"],
    ["two volumes of one name", [{ name: "v" }, { name: "v" }], [], "two volumes have one name"],
    [
      "an item that climbs",
      [{ name: "v", configMap: { name: "m", items: [{ key: "k", path: "../x" }] } }],
      [],
      "must be a path below the volume",
    ],
  ])("refuses %s", (_, volumes, mounts, reason) => {
    const { objects, problems } = read(volumes, mounts);
    expect(objects).toEqual([]);
    expect(problems.map((one) => one.message).join()).toContain(reason);
  });
});
