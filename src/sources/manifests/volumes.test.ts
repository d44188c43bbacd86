import { describe, expect, it } from "vitest";
import type { Pod } from "../../model/objects.ts";
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
