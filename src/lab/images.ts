import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { type ImageConfig, readImageArchive } from "./archive.ts";
import { LabError } from "./errors.ts";
import { unpackLayer } from "./unpack.ts";

export interface Image {
  /** The read-only root; each container gets a writable layer over it. */
  lower: string;
  config: ImageConfig;
}

const NO_CONFIG: ImageConfig = { env: [], entrypoint: [], command: [], workingDir: undefined };

/** The base of relative paths in `image:`: the folder of the first manifests. */
export function imageBase([first = "/"]: readonly string[]): string {
  return statSync(first, { throwIfNoEntry: false })?.isDirectory() === false ? dirname(first) : first;
}

/** The images of a lab: mapped by name, or named by the path of an archive. Images are never pulled. */
export class Images {
  readonly #dir: string;
  readonly #mapped: Readonly<Record<string, string>>;
  readonly #base: string;
  readonly #unpacked = new Map<string, Image>();

  /** `base`: the folder that relative paths in `image:` start from. */
  constructor(dir: string, mapped: Readonly<Record<string, string>>, base: string) {
    this.#dir = dir;
    this.#mapped = mapped;
    this.#base = base;
  }

  /** True if an image of that name exists locally. */
  knows(name: string): boolean {
    const path = this.#path(name);
    return path !== undefined && existsSync(path);
  }

  /** The image called `name`; undefined if there is none. Throws LabError `bad-image`. */
  find(name: string): Image | undefined {
    const path = this.#path(name);
    if (path === undefined) return undefined;
    const found = this.#unpacked.get(path);
    if (found !== undefined) return found;
    const image = this.#load(path);
    this.#unpacked.set(path, image);
    return image;
  }

  #path(name: string): string | undefined {
    const mapped = Object.hasOwn(this.#mapped, name) ? this.#mapped[name] : undefined;
    if (mapped !== undefined) return mapped;
    const looksLikePath = isAbsolute(name) || name.startsWith("./") || name.startsWith("../");
    return looksLikePath ? resolve(this.#base, name) : undefined;
  }

  #load(path: string): Image {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) throw new LabError("bad-image", `find image ${path}: no such file or directory`);
    if (found.isDirectory()) return { lower: path, config: NO_CONFIG };
    const archive = readImageArchive(path);
    const key = createHash("sha256").update(path).digest("hex").slice(0, 16);
    const lower = `${this.#dir}/${key}`;
    const beside = `${lower}.new`;
    rmSync(beside, { recursive: true, force: true });
    mkdirSync(beside, { recursive: true });
    for (const layer of archive.layers) unpackLayer(layer, beside);
    rmSync(lower, { recursive: true, force: true });
    renameSync(beside, lower);
    return { lower, config: archive.config };
  }
}
