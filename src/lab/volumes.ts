import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import { objectKey } from "../model/names.ts";
import type { ConfigMap, Container, Pod, Volume } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { LabError } from "./errors.ts";
import { inside } from "./inside.ts";
import { within } from "./mounts.ts";

/** A file or directory of the machine that a container sees at `target`. */
export interface Binding {
  source: string;
  target: string;
  directory: boolean;
  readOnly: boolean;
  /** `device:inode` of the source, if a container could replace the source before it is mounted. */
  id?: string | undefined;
}

/** Directories of a container's volumes: those that outlive the container, and those of one container. */
export interface VolumeDirs {
  pod: string;
  container: string;
}

/** Volume kinds that are replaced by an empty directory. */
const CLAIMS = new Set(["persistentVolumeClaim", "ephemeral"]);
type Mounted = Exclude<Volume, { kind: "other" }>;

function mounted(volume: Volume): Mounted | undefined {
  if (volume.kind !== "other") return volume;
  return CLAIMS.has(volume.source) ? { name: volume.name, kind: "emptyDir" } : undefined;
}

/**
 * Creates a container's volumes and returns its bindings. Files of ConfigMaps are written anew for each container: the
 * mounts of other containers do not change.
 * @throws LabError `no-config` if a ConfigMap or one of its keys is missing, `bad-volume` if a sub-path leads out of a
 * volume
 */
export function bindVolumes(pod: Pod, container: Container, maps: readonly ConfigMap[], dirs: VolumeDirs): Binding[] {
  const roots = new Map<string, string>();
  return (container.volumeMounts ?? []).flatMap((mount): Binding[] => {
    const written = pod.volumes?.find((one) => one.name === mount.name);
    const volume = written && mounted(written);
    if (volume === undefined) return [];
    const root = roots.get(volume.name) ?? makeVolume(pod, volume, maps, dirs);
    roots.set(volume.name, root);
    const target = posix.normalize(mount.mountPath).replace(/\/+$/, "");
    const readOnly = mount.readOnly || volume.kind === "configMap";
    if (mount.subPath === undefined) return [{ source: root, target, directory: true, readOnly }];
    const { path, directory, id } = inside(root, mount.subPath, { make: "directory", absolute: "out" });
    return [{ source: `${root}${path}`, target, directory, readOnly, id }];
  });
}

function makeVolume(pod: Pod, volume: Mounted, maps: readonly ConfigMap[], dirs: VolumeDirs): string {
  if (volume.kind === "configMap") {
    const root = `${dirs.container}/config/${volume.name}`;
    writeConfig(pod, volume, maps, root);
    return root;
  }
  const root = `${dirs.pod}/volumes/${volume.name}`;
  if (statSync(root, { throwIfNoEntry: false }) === undefined) {
    mkdirSync(root, { recursive: true });
    chmodSync(root, 0o777); // mkdir applies the umask.
  }
  return root;
}

/** Reports volumes that the lab does not mount. */
export function volumeProblems(pod: Pod): Problem[] {
  return (pod.volumes ?? []).flatMap((volume) => {
    if (volume.kind !== "other") return [];
    const message = CLAIMS.has(volume.source)
      ? "nothing is claimed: an empty directory is in its place, and ends with the pod"
      : `${JSON.stringify(volume.source)} volumes are not mounted; the lab mounts configMap and emptyDir`;
    return [
      { object: objectKey("Pod", pod.metadata), path: `spec.volumes["${volume.name}"]`, message, severity: "skipped" },
    ];
  });
}

/** The innermost binding that contains a path. Of two at one place, the later one hides the other. */
export function holderOf(path: string, bindings: readonly Binding[]): Binding | undefined {
  const holding = bindings.filter((one) => one.directory && within(path, one.target));
  return holding.reduce<Binding | undefined>(
    (best, one) => (best === undefined || one.target.length >= best.target.length ? one : best),
    undefined,
  );
}

/** The bindings in the order of mounting, each with its mount point in the binding that contains it. */
export function arrange(bindings: readonly Binding[]): Binding[] {
  const depth = ({ target }: Binding): number => target.split("/").length;
  const ordered = [...bindings].sort((a, b) => depth(a) - depth(b));
  for (const [index, { target, directory }] of ordered.entries()) {
    const holder = holderOf(dirname(target), ordered.slice(0, index));
    if (holder === undefined) continue;
    const path = target.slice(holder.target.length);
    inside(holder.source, path, { make: directory ? "directory" : "file", absolute: "out" });
  }
  return ordered;
}

type ConfigVolume = Extract<Volume, { kind: "configMap" }>;

function writeConfig(pod: Pod, volume: ConfigVolume, maps: readonly ConfigMap[], root: string): void {
  const { namespace } = pod.metadata;
  const map = maps.find((one) => one.metadata.namespace === namespace && one.metadata.name === volume.configMap);
  const missing = (what: string): LabError => new LabError("no-config", `mount volume ${volume.name}: ${what}`);
  if (map === undefined && !volume.optional) throw missing(`there is no ConfigMap ${namespace}/${volume.configMap}`);
  const content = contentOf(map);
  const files: NonNullable<ConfigVolume["items"]> =
    volume.items ?? [...content.keys()].map((key) => ({ key, path: key }));
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true, mode: 0o755 });
  for (const { key, path, mode } of files) {
    const bytes = content.get(key);
    if (bytes === undefined && volume.optional) continue;
    if (bytes === undefined) throw missing(`ConfigMap ${namespace}/${volume.configMap} has no key ${key}`);
    mkdirSync(dirname(`${root}/${path}`), { recursive: true });
    writeFileSync(`${root}/${path}`, bytes);
    chmodSync(`${root}/${path}`, mode ?? volume.defaultMode ?? 0o644);
  }
}

function contentOf(map: ConfigMap | undefined): Map<string, Buffer> {
  const text = Object.entries(map?.data ?? {}).map(([key, value]) => [key, Buffer.from(value)] as const);
  const binary = Object.entries(map?.binaryData ?? {}).map(
    ([key, value]) => [key, Buffer.from(value, "base64")] as const,
  );
  return new Map([...text, ...binary]);
}
