import { posix } from "node:path";
import type { ResolvedContainer } from "../model/environment.ts";
import type { Container, Pod } from "../model/objects.ts";
import type { Problem } from "../model/problem.ts";
import { LabError } from "./errors.ts";
import type { Image, Images } from "./images.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The program to execute, and its root. */
export interface Launch {
  argv: readonly string[];
  workingDir: string;
  image: Image | undefined;
  env: Readonly<Record<string, string>>;
}

/**
 * Command, root and environment of one container. As in Kubernetes, `command` replaces the image's entry point and
 * command, `args` the command alone.
 * @throws LabError `no-command` for a container with neither a command nor a known image, `no-config` for one whose
 * ConfigMap is missing
 */
export function launchOf(pod: Pod, container: Container, images: Images, resolved: ResolvedContainer): Launch {
  const missing = resolved.problems.find(({ severity }) => severity !== "skipped");
  if (missing !== undefined) throw new LabError("no-config", `start container ${container.name}: ${missing.message}`);
  const image = container.image === undefined ? undefined : images.find(container.image);
  const argv = argvOf(resolved, image);
  if (argv.length === 0) throw noCommand(pod, container, image);
  return {
    argv,
    workingDir: posix.resolve("/", container.workingDir ?? image?.config.workingDir ?? "/"),
    image,
    env: {
      PATH: DEFAULT_PATH,
      HOSTNAME: hostnameOf(pod),
      HOME: "/root",
      ...Object.fromEntries((image?.config.env ?? []).map(splitVariable)),
      ...environmentOf(resolved),
    },
  };
}

/** The host name of a pod: its own, or the pod's name cut to the allowed length. */
export function hostnameOf({ hostname, metadata }: Pod): string {
  return hostname ?? metadata.name.slice(0, 63).replace(/[-.]+$/, "");
}

function argvOf(container: Pick<ResolvedContainer, "command" | "args">, image: Image | undefined): string[] {
  if (container.command.length > 0) return [...container.command, ...container.args];
  const entrypoint = image?.config.entrypoint ?? [];
  if (container.args.length > 0) return image === undefined ? [] : [...entrypoint, ...container.args];
  return [...entrypoint, ...(image?.config.command ?? [])];
}

/** Variables by name; names that execve does not allow are dropped. */
function environmentOf({ env }: Pick<ResolvedContainer, "env">): Record<string, string> {
  const good = env.filter(({ name, value }) => /^[^=\0]+$/.test(name) && !value.includes("\0"));
  return Object.fromEntries(good.map(({ name, value }) => [name, value]));
}

function splitVariable(text: string): [string, string] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, ""] : [text.slice(0, equals), text.slice(equals + 1)];
}

function noCommand(pod: Pod, container: Container, image: Image | undefined): LabError {
  const what = `start container ${container.name} of pod ${pod.metadata.namespace}/${pod.metadata.name}`;
  if (image !== undefined) return new LabError("no-command", `${what}: neither it nor its image names a command`);
  const named =
    container.image === undefined ? "it has no image" : `image ${JSON.stringify(container.image)} is unknown`;
  const hint = `the lab pulls nothing: give the container a command to run it on this machine's files, or map the image with --image ${container.image ?? "NAME"}=PATH`;
  return new LabError("no-command", `${what}: no command and ${named} (${hint})`);
}

/** Finds containers that can never start, before anything is created. Images are looked up, not read. */
export function commandProblems(pods: readonly Pod[], images: Images): Problem[] {
  return pods.flatMap((pod) =>
    [...(pod.initContainers ?? []), ...pod.containers]
      .filter((one) => one.command.length === 0 && !(one.image !== undefined && images.knows(one.image)))
      .map((one) => ({
        object: `Pod/${pod.metadata.namespace}/${pod.metadata.name}`,
        message: noCommand(pod, one, undefined).message,
      })),
  );
}
