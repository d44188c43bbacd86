import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import * as z from "zod";
import { LabError, messageOf } from "./errors.ts";
import { readTar } from "./tar.ts";

/** The image's settings for its containers. */
export interface ImageConfig {
  env: readonly string[];
  entrypoint: readonly string[];
  command: readonly string[];
  workingDir: string | undefined;
}

export interface ImageArchive {
  config: ImageConfig;
  /** Image names in the archive. */
  tags: readonly string[];
  /** Uncompressed layers, lowest first. */
  layers: readonly Buffer[];
}

const strings = z.array(z.string()).nullish();
const Config = z.object({
  config: z.object({ Env: strings, Entrypoint: strings, Cmd: strings, WorkingDir: z.string().nullish() }).nullish(),
});
const DockerManifest = z.array(z.object({ Config: z.string(), RepoTags: strings, Layers: z.array(z.string()) }));
const Descriptor = z.object({
  digest: z.string().regex(/^[a-z0-9]+:[0-9a-f]+$/),
  mediaType: z.string().nullish(),
  platform: z.object({ architecture: z.string(), os: z.string() }).nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
});
const OciIndex = z.object({ manifests: z.array(Descriptor) });
const OciManifest = z.object({ config: Descriptor, layers: z.array(Descriptor) });

/**
 * Reads a `docker save` archive or an OCI image layout in a tar (optionally gzip). If it holds several images, the
 * first is used.
 */
export function readImageArchive(path: string): ImageArchive {
  try {
    const files = new Map<string, Buffer>();
    for (const entry of readTar(inflate(readFileSync(path)))) {
      if (entry.type === "file") files.set(entry.path.replace(/^\.\//, ""), entry.data);
    }
    if (files.has("manifest.json")) return readDocker(files);
    if (files.has("index.json")) return readOci(files);
    throw new LabError("bad-image", "it holds neither manifest.json (docker save) nor index.json (OCI layout)");
  } catch (cause) {
    throw new LabError("bad-image", `read image archive ${path}: ${messageOf(cause)}`, { cause });
  }
}

function inflate(data: Buffer): Buffer {
  if (data[0] === 0x1f && data[1] === 0x8b) return gunzipSync(data);
  if (data.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) {
    throw new LabError("bad-image", "a layer is compressed with zstd; save it with gzip or plain");
  }
  return data;
}

function need(files: ReadonlyMap<string, Buffer>, path: string): Buffer {
  const file = files.get(path);
  if (file === undefined) throw new LabError("bad-image", `${path} is missing`);
  return file;
}

function json(files: ReadonlyMap<string, Buffer>, path: string): unknown {
  return JSON.parse(need(files, path).toString("utf8"));
}

function readDocker(files: ReadonlyMap<string, Buffer>): ImageArchive {
  const [first] = DockerManifest.parse(json(files, "manifest.json"));
  if (first === undefined) throw new LabError("bad-image", "manifest.json names no image");
  return {
    config: readConfig(json(files, first.Config)),
    tags: first.RepoTags ?? [],
    layers: first.Layers.map((name) => inflate(need(files, name))),
  };
}

function readOci(files: ReadonlyMap<string, Buffer>): ImageArchive {
  const blob = (digest: string): string => `blobs/${digest.replace(":", "/")}`;
  let descriptor = pick(OciIndex.parse(json(files, "index.json")));
  const tag = descriptor.annotations?.["org.opencontainers.image.ref.name"];
  if (descriptor.mediaType?.includes("index") === true || descriptor.mediaType?.includes("manifest.list") === true) {
    descriptor = pick(OciIndex.parse(json(files, blob(descriptor.digest))));
  }
  const manifest = OciManifest.parse(json(files, blob(descriptor.digest)));
  return {
    config: readConfig(json(files, blob(manifest.config.digest))),
    tags: tag === undefined ? [] : [tag],
    layers: manifest.layers.map((layer) => inflate(need(files, blob(layer.digest)))),
  };
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

function pick(index: z.infer<typeof OciIndex>): z.infer<typeof Descriptor> {
  const wanted = ARCHITECTURES[process.arch] ?? process.arch;
  const fits = index.manifests.filter((one) => (one.platform?.architecture ?? wanted) === wanted);
  const found = fits[0];
  if (found === undefined) throw new LabError("bad-image", `no image for ${wanted}`);
  return found;
}

function readConfig(raw: unknown): ImageConfig {
  const config = Config.parse(raw).config;
  const workingDir = config?.WorkingDir;
  return {
    env: config?.Env ?? [],
    entrypoint: config?.Entrypoint ?? [],
    command: config?.Cmd ?? [],
    workingDir: workingDir === undefined || workingDir === null || workingDir === "" ? undefined : workingDir,
  };
}
