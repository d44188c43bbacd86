import { readFileSync } from "node:fs";

export interface Mount {
  /** Root of the mount within its file system. */
  root: string;
  path: string;
  type: string;
  options: string;
}

/** Parses the text of /proc/PID/mountinfo, in mount order. */
export function parseMountinfo(text: string): Mount[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const fields = left.split(" ");
      return {
        root: unescapeMount(fields[3] ?? ""),
        path: unescapeMount(fields[4] ?? ""),
        type: right.split(" ")[0] ?? "",
        options: fields[5] ?? "",
      };
    });
}

export function mounts(file = "/proc/self/mountinfo"): Mount[] {
  return parseMountinfo(readFileSync(file, "utf8"));
}

/** True if `path` is the directory `dir` or inside it. */
export function within(path: string, dir: string): boolean {
  return path === dir || path.startsWith(`${dir}/`);
}

function unescapeMount(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** One field of an fstab line, with separator characters in octal. */
export function escapeFstab(field: string): string {
  return field.replace(/[\s\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
