import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AgentConfig } from "../api/config.ts";
import { detachTaps } from "../datapath/attach.ts";
import { isOwnDevice } from "../datapath/devices.ts";
import { links, openBpfLink, removeLink, removeRoute, routes, WEIR_ROUTE_PROTOCOL } from "../kernel/index.ts";
import { APPLIED_FILE } from "../sources/applied.ts";
import { ATTACHMENTS_FOLDER, RELEASED_FILE } from "../sources/attachments.ts";
import { RULES_FILE } from "../sources/last-good.ts";
import { mountNote, releaseBpffs } from "./bpffs.ts";
import { lockNode } from "./lock.ts";
import { panelRoot, programCache } from "./paths.ts";

export interface UninstallOptions {
  bpffs: string;
  state: string;
  /** The agent's socket, which a killed agent leaves. */
  socket: string;
  /** Only returns what would be removed. */
  plan: boolean;
}

/**
 * Removes everything that agents left in this network namespace, on the bpffs, in the state folder, and the socket.
 * Returns the names. Missing items are no error. Rejects for users other than root, who cannot see pins and state.
 */
export async function uninstall({ bpffs, state, socket, plan }: UninstallOptions): Promise<readonly string[]> {
  if (process.geteuid?.() !== 0) throw new Error("look for what agents left: EACCES (it is root's alone: try sudo)");
  const root = join(bpffs, "weir");
  const nodes = existsSync(root) ? readdirSync(root) : [];
  const found = [
    ...nodes.map((node) => `pins ${join(root, node)}`),
    ...ownDevices().map((device) => `link ${device}`),
    ...ownRoutes().map((route) => `route ${route.cidr}`),
    ...present(everything(state)).map((path) => `state ${path}`),
    ...(isSocket(socket) ? [`socket ${socket}`] : []),
  ];
  if (plan) return found;
  const lock = lockNode("uninstall", [...nodes.map((node) => join(root, node)), state]);
  try {
    for (const node of nodes) untap(join(root, node));
    removeFromNamespace();
    for (const node of nodes) removePanel(join(root, node));
    releasePins({ bpffs, state });
    removeState(state, everything(state));
    removeSocket(socket);
  } finally {
    lock.release();
  }
  return found;
}

/**
 * Removes a node's datapath. Pods lose their network and are forgotten; applied objects are kept for the next agent.
 */
export function removeNode(config: Pick<AgentConfig, "bpffs" | "state">, node: string): void {
  untap(panelRoot(config.bpffs, node));
  removeFromNamespace();
  removePanel(panelRoot(config.bpffs, node));
  releasePins(config);
  removeState(config.state, ofPods(config.state));
}

/** Undoes a start that failed. The state folder is kept, since it may be older than this boot. */
export function undoStart(config: Pick<AgentConfig, "bpffs" | "state">, node: string): void {
  removePanel(panelRoot(config.bpffs, node)); // devices are created later, by the first pass
  releasePins(config);
  for (const folder of [join(config.state, ATTACHMENTS_FOLDER), config.state]) removeIfEmpty(folder);
}

function releasePins(places: Pick<AgentConfig, "bpffs" | "state">): void {
  const root = join(places.bpffs, "weir");
  const others = existsSync(root) && readdirSync(root).length > 0; // other nodes on the same bpffs
  if (!others) {
    rmSync(root, { recursive: true, force: true });
    releaseBpffs(places);
  }
}

/** Devices of other networks lose their programs first, so that no packet meets a half-removed panel. */
function removePanel(root: string): void {
  const pins = join(root, "links");
  for (const device of existsSync(pins) ? readdirSync(pins) : []) {
    const link = openBpfLink(join(pins, device));
    link.detach();
    link.close();
  }
  rmSync(root, { recursive: true, force: true });
}

/** Detaches taps. It comes first, since packets of other networks pass through Weir's devices. */
function untap(root: string): void {
  const links = join(root, "links");
  if (existsSync(links)) detachTaps(links);
}

/** Removes devices. It comes before the panel, since a pod's device without its program would bypass all checks. */
function removeFromNamespace(): void {
  for (const route of ownRoutes()) removeRoute({ cidr: route.cidr, device: route.ifindex, metric: route.metric });
  for (const device of ownDevices()) removeLink(device);
}

const ownDevices = (): string[] =>
  links()
    .map((link) => link.name)
    .filter(isOwnDevice);
const ownRoutes = () => routes(undefined, WEIR_ROUTE_PROTOCOL);

/** A store's file, and what a crash or a damaged file leaves beside it. */
const withRemains = (path: string): string[] => [path, `${path}.new`, `${path}.broken`];

/** The files about pods and programs made for them. */
const ofPods = (state: string): string[] => [
  join(state, ATTACHMENTS_FOLDER),
  ...withRemains(join(state, RELEASED_FILE)),
  ...withRemains(join(state, RULES_FILE)),
  programCache(state),
  mountNote(state),
];

/** All files that agents write to the state folder. The user chooses the folder, so no other file in it is removed. */
const everything = (state: string): string[] => [...ofPods(state), ...withRemains(join(state, APPLIED_FILE))];

const present = (paths: readonly string[]): string[] => paths.filter((path) => existsSync(path));

function removeState(state: string, paths: readonly string[]): void {
  for (const path of paths) rmSync(path, { recursive: true, force: true });
  removeIfEmpty(state);
}

const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() === true;

/** Removes a socket, and its folder if that is empty. */
function removeSocket(path: string): void {
  if (isSocket(path)) rmSync(path);
  removeIfEmpty(dirname(path));
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}
