/**
 * The image of a test machine: Debian's 6.1 cloud kernel and a root file system of this machine's programs. Both are
 * cached.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createWriteStream,
  existsSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { finished } from "node:stream/promises";
import { type Entry, writeArchive } from "./cpio.ts";

const PROGRAMS = [
  "bash bridge bpftool cat env ethtool find grep ip iperf3 kill ls mkdir modprobe mount nsenter ping ps rm sed seq setpriv sh sleep",
  "ss stat sysctl tail tc tee timeout tracepath traceroute umount uname unshare",
]
  .join(" ")
  .split(" ");
/** Opened with dlopen, so ldd does not list them. */
const LIBRARIES = ["libbpf.so.1", "libelf.so.1", "libz.so.1", "libgcc_s.so.1"];
const SEARCH = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/** Subtrees of the kernel's modules that networking needs. */
const MODULES = ["arch", "crypto", "lib", "net", "drivers/net"];
const DAY_MS = 24 * 3600 * 1000;
const DATA = ["/etc/protocols", "/etc/services", "/etc/iproute2"];

export interface Image {
  /** Kernel release, e.g. `6.1.0-56-cloud-amd64`. */
  release: string;
  kernel: string;
  /** An archive of the whole root without an init. */
  root: string;
}

/** Prepares the kernel that `scripts/fetch-kernel.sh` downloaded into `cache`. Quick if it is already there. */
export async function prepareImage(cache: string): Promise<Image> {
  const deb = findPackage(cache);
  const tree = `${deb}.d`;
  if (!existsSync(tree)) unpack(deb, tree);
  const release = readdirSync(join(tree, "lib/modules"))[0];
  if (!release) throw new Error(`unpack ${deb}: no kernel modules in it`);
  const entries = [...rootEntries(), ...moduleEntries(tree, release)];
  const root = join(cache, `root-${digest(entries)}.cpio`);
  if (existsSync(root)) {
    utimesSync(root, new Date(), new Date()); // Marks it as in use.
  } else {
    await writeRoot(root, entries);
    dropOldRoots(cache);
  }
  return { release, kernel: join(tree, "boot", `vmlinuz-${release}`), root };
}

function findPackage(cache: string): string {
  const debs = existsSync(cache) ? readdirSync(cache).filter((name) => /^linux-image-.*\.deb$/.test(name)) : [];
  const newest = debs.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
  if (!newest) throw new Error(`find a kernel package in ${cache}: none (run: npm run setup test)`);
  return join(cache, newest);
}

function unpack(deb: string, tree: string): void {
  const scratch = `${tree}.${process.pid}`;
  execFileSync("dpkg", ["-x", deb, scratch]);
  const release = readdirSync(join(scratch, "lib/modules"))[0] ?? "";
  execFileSync("depmod", ["-b", scratch, release], { env: { PATH: SEARCH.join(":") } });
  rename(scratch, tree);
}

/** Another run may have been first; its result is the same. */
function rename(scratch: string, path: string): void {
  try {
    renameSync(scratch, path);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    if (!existsSync(path)) throw error;
  }
}

async function writeRoot(path: string, entries: readonly Entry[]): Promise<void> {
  const scratch = `${path}.${process.pid}`;
  const out = createWriteStream(scratch);
  await writeArchive(out, withParents(entries));
  out.end();
  await finished(out);
  rename(scratch, path);
}

/** Removes roots that no run of the last day has used: they hold other versions of this machine's programs. */
function dropOldRoots(cache: string): void {
  const limit = Date.now() - DAY_MS;
  for (const name of readdirSync(cache).filter((entry) => /^root-\w+\.cpio$/.test(entry))) {
    const path = join(cache, name);
    if ((statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? limit) < limit) rmSync(path, { force: true });
  }
}

function digest(entries: readonly Entry[]): string {
  const hash = createHash("sha256");
  for (const entry of entries) {
    const stat = entry.kind === "file" ? statSync(entry.source) : undefined;
    hash.update(JSON.stringify([entry, stat?.size, stat?.mtimeMs]));
  }
  return hash.digest("hex").slice(0, 16);
}

function rootEntries(): Entry[] {
  const programs = [...PROGRAMS.map((name) => [name, find(name)] as const), ["node", process.execPath] as const];
  const libraries = new Set(programs.flatMap(([, path]) => linked(path)));
  for (const name of LIBRARIES) libraries.add(findLibrary(name));
  for (const path of [...libraries]) for (const more of linked(path)) libraries.add(more);
  return [
    ...["bin", "sbin", "lib", "lib64"].map((name): Entry => ({ kind: "symlink", path: name, target: `usr/${name}` })),
    { kind: "symlink", path: "usr/sbin", target: "bin" }, // The kernel looks for modprobe there.
    ...programs.map(([name, path]): Entry => ({ kind: "file", path: `usr/bin/${name}`, source: realpathSync(path) })),
    { kind: "file", path: "usr/bin/busybox", source: "/usr/bin/busybox" },
    ...[...libraries].map((path): Entry => ({ kind: "file", path: merged(path), source: realpathSync(path) })),
    ...DATA.filter((path) => existsSync(path)).flatMap((path) => tree(path, path)),
    { kind: "text", path: "etc/passwd", text: "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" },
    { kind: "text", path: "etc/group", text: "root:x:0:\nnogroup:x:65534:\n" },
    { kind: "text", path: "etc/hosts", text: "127.0.0.1 localhost\n::1 localhost\n" },
  ];
}

function moduleEntries(tree_: string, release: string): Entry[] {
  const base = `lib/modules/${release}`;
  const index = readdirSync(join(tree_, base)).filter((name) => name.startsWith("modules."));
  const entries = index.map(
    (name): Entry => ({
      kind: "file",
      path: `usr/${base}/${name}`,
      source: join(tree_, base, name),
    }),
  );
  return [
    ...entries,
    ...MODULES.flatMap((part) => tree(join(tree_, base, "kernel", part), `usr/${base}/kernel/${part}`)),
  ];
}

function find(name: string): string {
  const found = SEARCH.map((directory) => join(directory, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`find program ${name} for the test machine: not installed (run: npm run setup test)`);
  return found;
}

function findLibrary(name: string): string {
  const cache = execFileSync(find("ldconfig"), ["-p"], { encoding: "utf8" });
  const path = cache.match(new RegExp(`^\\s*${name.replaceAll(".", "\\.")} .*x86-64.* => (\\S+)$`, "m"))?.[1];
  if (!path) throw new Error(`find library ${name} for the test machine: not installed (run: npm run setup test)`);
  return path;
}

/** Shared libraries of a program, the dynamic loader included. */
export function linked(path: string): string[] {
  const text = execFileSync("ldd", [path], { encoding: "utf8" });
  return [...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
}

/** Debian's directories are merged into /usr; the archive has the same symbolic links. */
function merged(path: string): string {
  return path.replace(/^\/(usr\/)?/, "usr/");
}

/** A file, or a directory with its content, as entries under `path`. */
export function tree(source: string, path: string): Entry[] {
  const real = realpathSync(source);
  if (!statSync(real).isDirectory()) return [{ kind: "file", path, source: real }];
  const names = readdirSync(real).sort();
  return [{ kind: "directory", path }, ...names.flatMap((name) => tree(join(real, name), join(path, name)))];
}

/** Adds the parent directories of entries, each once and before its content. */
export function withParents(entries: readonly Entry[]): Entry[] {
  const seen = new Set<string>(["."]);
  const parents = (path: string): Entry[] => {
    if (seen.has(path)) return [];
    seen.add(path);
    return [...parents(dirname(path)), { kind: "directory", path }];
  };
  return entries.flatMap((entry) => {
    const path = entry.path.replace(/^\/+/, "");
    if (entry.kind === "directory") return parents(path);
    return [...parents(dirname(path)), { ...entry, path }];
  });
}
