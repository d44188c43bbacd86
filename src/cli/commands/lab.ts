import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../errors.ts";
import { setExitCode } from "../exit.ts";
import type { Io } from "../io.ts";
import type { Modules, Result } from "../modules.ts";
import { collect, FILES, given, output } from "./options.ts";

const files = "manifest file or folder; may be given several times";

export function addLab(program: Command, io: Io, load: Modules["lab"], capabilities: Modules["capabilities"]): void {
  const lab = program
    .command("lab")
    .summary("run a cluster of network namespaces on this machine")
    .description("Run a cluster on this machine: nodes and pods are network namespaces, the datapath is the real one.");
  const add = (name: string, summary: string): Command =>
    lab.command(name).description(summary).option("--name <lab>", "the lab's name", "default");
  const paths = (list: readonly string[] = []): string[] => list.map((path) => resolve(io.cwd, path));
  const done = async (result: Result): Promise<void> => setExitCode(lab, await result);

  add("up", "Start a lab and run the manifests in it, or the pods of a Kubernetes API. Returns once all are ready.")
    .option("-f, --file <path>", files, collect)
    .option("--kubeconfig <file>", "make the lab's nodes those of this Kubernetes API; objects are its own then")
    .option("--context <name>", "the context of the kubeconfig; its current one if left out")
    .option("--nodes <number>", "number of nodes", positive, 1)
    .addOption(
      new Option("--overlay <kind>", "how nodes reach each other's pods").choices(["vxlan", "direct"]).default("vxlan"),
    )
    .option(
      "--image <name=path>",
      "what to run for an image: a local archive or folder; may be given several times",
      image,
      {},
    )
    .option("--programs <folder>", "programs for ebpf-limit: a folder that is root's alone, with programs.yaml")
    .action(async ({ name, file, nodes, overlay, image: images, programs, ...api }) => {
      if (file?.includes("-")) throw new UsageError("-f - is not watched: start the lab, then weir lab apply -f -");
      const folder = programs === undefined ? {} : { programs: resolve(io.cwd, programs) };
      const shared = { name, files: paths(file), nodes, overlay, images: absolute(io, images), ...folder };
      return done((await load()).up({ ...shared, kubernetes: kubernetesOf(io, { file, ...api }) }, io));
    });
  add("apply", "Add or change objects. Returns once the change is in force.")
    .requiredOption("-f, --file <path>", FILES, collect)
    .action(async ({ name, file }) => done((await load()).apply({ name, ...(await given(io, { file })) }, io)));
  add("delete", "Delete objects. Returns once they are gone.")
    .requiredOption("-f, --file <path>", FILES, collect)
    .action(async ({ name, file }) => done((await load()).del({ name, ...(await given(io, { file })) }, io)));
  const inPod = (command: Command): Command =>
    command
      .option("-n, --namespace <namespace>", "the pod's namespace", "default")
      .option("-c, --container <name>", "the container; the first one if left out");
  inPod(add("exec", "Run a command in a pod, with its exit code and stdio."))
    .usage("[options] <pod> -- <command> [args...]")
    .argument("<pod>", "the pod's name")
    .argument("<command...>", "command and its arguments, after --")
    .action(async (pod: string, command: string[], { name, namespace, container }) =>
      done((await load()).exec({ name, namespace, pod, container, command }, io)),
    );
  inPod(add("logs", "Show what a pod's container has written."))
    .argument("<pod>", "the pod's name")
    .action(async (pod: string, { name, namespace, container }) =>
      done((await load()).logs({ name, namespace, pod, container }, io)),
    );
  add("status", "Show the lab's nodes and pods.")
    .addOption(output("table", "json", "yaml"))
    .action(async ({ name, output: format }) => done((await load()).status({ name, output: format }, io)));
  lab
    .command("list")
    .description("Show the labs of this machine.")
    .addOption(output("table", "json", "yaml"))
    .action(async ({ output: format }) => done((await load()).list({ output: format }, io)));
  add("down", "Stop a lab and remove all that it made.").action(async ({ name }) =>
    done((await load()).down({ name }, io)),
  );
  lab
    .command("supervise", { hidden: true })
    .requiredOption("--name <lab>", "the lab's name")
    .action(async ({ name }) => {
      const { capabilityNames } = await capabilities();
      return done((await load()).supervise({ name, capabilities: capabilityNames }, io));
    });
}

/** Only the flag makes a lab part of a cluster, not $KUBECONFIG, which may be set for another purpose. */
function kubernetesOf(
  io: Io,
  { kubeconfig, context, file }: { kubeconfig?: string; context?: string; file?: string[] },
) {
  if (kubeconfig !== undefined && file !== undefined)
    throw new UsageError("--kubeconfig and -f exclude each other: use kubectl apply -f once the lab is up");
  if (kubeconfig !== undefined) return { kubeconfig: resolve(io.cwd, kubeconfig), context };
  if (context !== undefined) throw new UsageError("--context needs --kubeconfig");
  return undefined;
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError("Write a whole number from 1.");
  return Number(text);
}

function image(text: string, previous: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.lastIndexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError("Write NAME=PATH, e.g. nginx:1=./nginx.tar.");
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
}

function absolute(io: Io, images: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(images).map(([name, path]) => [name, resolve(io.cwd, path)]));
}
