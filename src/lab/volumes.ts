import { mkdirSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { objectKey } from "../model/names.ts";
import type { ConfigMap, Container, Pod, Problem, Volume } from "../model/objects.ts";
import { LabError } from "./errors.ts";
import { within } from "./mounts.ts";

/** Something of the machine that a container sees at `target`. */
export interface Binding {
  source: string;
  target: string;
  directory: boolean;
  readOnly: boolean;
}

/**
 * Makes the pod's volumes below `dir` and gives what a container has of them. ConfigMaps are written anew each time.
 * @throws LabError `no-config` if a ConfigMap or a key of it is missing.
 */
export function bindVolumes(pod: Pod, container: Container, maps: readonly ConfigMap[], dir: string): Binding[] {
  return (container.volumeMounts ?? []).flatMap((mount): Binding[] => {
    const volume = pod.volumes?.find((one) => one.name === mount.name);
    if (volume === undefined || volume.kind === "other") return [];
    const root = `${dir}/volumes/${volume.name}`;
    mkdirSync(root, { recursive: true, mode: 0o777 });
    if (volume.kind === "configMap") writeConfig(pod, volume, maps, root);
    const source = mount.subPath === undefined ? root : below(root, mount.subPath);
    const directory = statSync(source).isDirectory();
    const readOnly = mount.readOnly || volume.kind === "configMap";
    return [{ source, target: mount.mountPath.replace(/\/+$/, ""), directory, readOnly }];
  });
}

/** Volumes that the lab does not mount are said, not left out in silence. */
export function volumeProblems(pod: Pod): Problem[] {
  return (pod.volumes ?? []).flatMap((volume) => {
    if (volume.kind !== "other") return [];
    const message = `${JSON.stringify(volume.source)} volumes are not mounted; the lab mounts configMap and emptyDir`;
    return [
      { object: objectKey("Pod", pod.metadata), path: `spec.volumes["${volume.name}"]`, message, severity: "skipped" },
    ];
  });
}

/** The part of a volume that a mount names. A container can put symbolic links into a volume: none may lead out. */
function below(root: string, path: string): string {
  mkdirSync(dirname(`${root}/${path}`), { recursive: true });
  if (statSync(`${root}/${path}`, { throwIfNoEntry: false }) === undefined) mkdirSync(`${root}/${path}`);
  const real = realpathSync(`${root}/${path}`);
  if (within(real, realpathSync(root))) return real;
  throw new LabError("bad-volume", `mount ${JSON.stringify(path)} of a volume: refused, it leads out of the volume`);
}

function writeConfig(
  pod: Pod,
  volume: Extract<Volume, { kind: "configMap" }>,
  maps: readonly ConfigMap[],
  root: string,
): void {
  const { namespace } = pod.metadata;
  const map = maps.find((one) => one.metadata.namespace === namespace && one.metadata.name === volume.configMap);
  const missing = (what: string): LabError => new LabError("no-config", `mount volume ${volume.name}: ${what}`);
  if (map === undefined && !volume.optional) throw missing(`there is no ConfigMap ${namespace}/${volume.configMap}`);
  const data = map?.data ?? {};
  const files = volume.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { mode: 0o755 });
  for (const { key, path } of files) {
    const text = Object.hasOwn(data, key) ? data[key] : undefined;
    if (text === undefined && volume.optional) continue;
    if (text === undefined) throw missing(`ConfigMap ${namespace}/${volume.configMap} has no key ${key}`);
    mkdirSync(dirname(`${root}/${path}`), { recursive: true });
    writeFileSync(`${root}/${path}`, text, { mode: 0o644 });
  }
}
