import { describe, expect, test } from "vitest";
import { runInVm } from "./vm.ts";

const SCRIPT = `
set -e
uname -r
cat hello
tc qdisc add dev lo root netem delay 1ms && tc qdisc show dev lo
node -p process.version
findmnt() { grep -o " $1 [^ ]*" /proc/mounts; }
findmnt /sys/fs/bpf; findmnt /sys/fs/cgroup
echo problem >&2
exit 7
`;

describe("the test machine", () => {
  test("returns a command's output and exit code, with files, modules and mounts in place", async () => {
    const result = await runInVm({
      files: { "weir/hello": `${import.meta.dirname}/testing/hello.txt` },
      command: ["sh", "-c", SCRIPT],
      modules: ["sch_netem"],
    });
    const wanted = [
      /^6\.1\.\d+/,
      /^hello from the host$/,
      /^qdisc netem .* delay 1ms$/,
      new RegExp(`^${process.version.replaceAll(".", "\\.")}$`),
      /^ \/sys\/fs\/bpf bpf$/,
      /^ \/sys\/fs\/cgroup cgroup2$/,
      /^problem$/,
    ];
    const lines = result.output.trimEnd().split("\n");
    expect(lines).toEqual(wanted.map((line) => expect.stringMatching(line)));
    expect(result.exitCode).toBe(7);
  });

  test("is stopped when its time limit has passed", async () => {
    const result = await runInVm({ files: {}, command: ["sleep", "1000"], timeoutMs: 4000 });
    expect(result.exitCode).toBeUndefined();
    expect(result.output).toContain("timed out");
  });
});
