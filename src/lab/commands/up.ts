import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { ManifestObject } from "../../model/objects.ts";
import type { Problem } from "../../model/problem.ts";
import { expandWorkloads, schedule } from "../../model/workloads/index.ts";
import { readManifests } from "../../sources/manifests/index.ts";
import { withoutUids } from "../binding.ts";
import { createCgroup, joinCgroup } from "../cgroups.ts";
import { LabClient } from "../client.ts";
import { nodeObject } from "../cluster.ts";
import { tail } from "../container.ts";
import { claimLab } from "../create.ts";
import { LabError } from "../errors.ts";
import { Images, imageBase } from "../images.ts";
import { openApi, resolveTarget } from "../kube/open.ts";
import { commandProblems } from "../launch.ts";
import { type LabNames, labNames, MAX_NODES } from "../names.ts";
import type { Report } from "../progress.ts";
import { type KubernetesTarget, labNodes, readRecord } from "../record.ts";
import { teardown } from "../teardown.ts";
import { type LabIo, labsRoot, needRoot, tellProblems, withProgress } from "./io.ts";

export interface UpOptions {
  name: string;
  /** Absolute paths. */
  files: readonly string[];
  nodes: number;
  overlay: "vxlan" | "direct";
  /** Absolute path of a local archive or directory, by image name. */
  images: Readonly<Record<string, string>>;
  /** Register the lab's nodes in a Kubernetes API; the kubeconfig's current context if none is named. */
  kubernetes?: { kubeconfig: string; context?: string | undefined } | undefined;
  /** Absolute path of the folder with programs for `ebpf-limit`. */
  programs?: string | undefined;
}

type Settings = UpOptions & { kubernetes: KubernetesTarget | undefined };

/** Starts a lab; resolves when everything in it runs. Exit code: 0; 1 if a part is not in force; 130 if interrupted. */
export async function up(given: UpOptions, io: LabIo): Promise<number> {
  needRoot(`start lab ${given.name}`);
  const { kubernetes } = given;
  const options = { ...given, kubernetes: kubernetes && (await resolveTarget(kubernetes, io.connect)) };
  const root = labsRoot(io);
  const names = labNames(options.name, root);
  if (!(options.nodes >= 1 && options.nodes <= MAX_NODES)) {
    throw new LabError(
      "bad-usage",
      `start lab ${options.name} with ${options.nodes} nodes: not possible (1 to ${MAX_NODES})`,
    );
  }
  const { programs } = options;
  if (programs !== undefined && !statSync(programs, { throwIfNoEntry: false })?.isDirectory()) {
    throw new LabError("programs", `start lab ${options.name} with programs of ${programs}: there is no such folder`);
  }
  await checkApi(options, names, io);
  if (tellProblems(io, check(options, names))) return 1;
  claimLab(options.name, { ...options, sources: [...options.files] }, root);
  const begin = performance.now();
  return withProgress(io, async ({ report }) => {
    const stopped = new Promise<"stopped">((resolve) => {
      if (io.signal.aborted) resolve("stopped");
      io.signal.addEventListener("abort", () => resolve("stopped"), { once: true });
    });
    const started = start(names, io, report);
    started.catch(() => {}); // Awaited below, unless a signal comes first.
    if ((await Promise.race([started, stopped])) === "stopped") {
      report({ state: "start", text: "interrupted: removing what was made" });
      await teardown(names, io.connect, root);
      report({ state: "done", text: "interrupted: removed what was made" });
      return 130;
    }
    report({
      state: "done",
      text: `lab ${options.name} is up after ${((performance.now() - begin) / 1000).toFixed(1)} s`,
    });
    return 0;
  });
}

/** Checks before anything is created that the API answers and that no one else uses the nodes' names. */
async function checkApi({ name, files, kubernetes, nodes }: Settings, names: LabNames, io: LabIo): Promise<void> {
  if (kubernetes === undefined) return;
  if (files.length > 0) {
    const hint = "start it without -f, then use kubectl apply";
    throw new LabError("read-only", `start lab ${name} from manifests and a Kubernetes API: not both (${hint})`);
  }
  const { checkNodes } = await import("../kube/nodes.ts");
  await checkNodes(await openApi(io.connect, kubernetes), name, labNodes(names, { nodes, kubernetes }));
}

/** Checks the manifests before anything is created. */
function check(options: Settings, names: LabNames): Problem[] {
  const snapshots = options.files.map((path) => readManifests(path));
  const objects: ManifestObject[] = snapshots.flatMap((one) => [...one.objects]);
  const nodes = labNodes(names, options).map(nodeObject);
  const { pods, problems } = expandWorkloads({ objects: withoutUids(objects), nodes });
  const images = new Images(names.images, options.images, imageBase(options.files));
  const found = [
    ...missingImages(options.images),
    ...snapshots.flatMap((one) => [...one.problems]),
    ...problems,
    ...schedule(pods, nodes, new Map()).problems,
    ...commandProblems(pods, images),
  ];
  return found.filter((one) => one.severity === undefined || one.severity === "error");
}

function missingImages(images: UpOptions["images"]): Problem[] {
  return Object.entries(images)
    .filter(([, path]) => !existsSync(path))
    .map(([name, path]) => ({ object: `--image ${name}`, message: `there is no ${path}` }));
}

async function start(names: LabNames, io: LabIo, report: Report): Promise<"up"> {
  const log = openSync(names.log, "a", 0o600);
  const weir = process.argv[1] ?? "weir";
  const env = { ...io.env };
  delete env.NODE_EXTRA_CA_CERTS; // Loading the certificates would cost every Node.js process tens of milliseconds.
  const child = spawn(process.execPath, [weir, "lab", "supervise", "--name", names.name], {
    stdio: ["ignore", log, log],
    detached: true,
    cwd: "/",
    env: env as NodeJS.ProcessEnv,
  });
  closeSync(log);
  // The supervisor starts in the lab's cgroup, so that `down` finds it even before it has run any code.
  const cgroup = `${readRecord(names).cgroup}/supervisor`;
  createCgroup(cgroup);
  if (child.pid !== undefined) joinCgroup(cgroup, child.pid);
  child.unref();
  await listening(names, child);
  await new LabClient(names).progress(report);
  return "up";
}

/** True if the socket accepts connections. Its file exists a moment earlier. */
function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}

async function listening(names: LabNames, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await accepts(names.socket))) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (ended || Date.now() > deadline) {
      throw new LabError(
        "supervisor",
        `start supervisor of lab ${names.name}: ${tail(names.log, 3) || "no answer"} (weir lab down --name ${names.name} removes what is left)`,
      );
    }
    await sleep(5);
  }
}
