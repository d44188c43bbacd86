import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { AgentConfig } from "../api/config.ts";
import { serve } from "../api/serve.ts";
import { clearSocket } from "../api/socket.ts";
import { openDatapath } from "../datapath/open.ts";
import { Panel } from "../datapath/panel.ts";
import { Builder } from "../datapath/programs/builder.ts";
import { functions } from "../functions/index.ts";
import { type Lock, watchNetwork } from "../kernel/index.ts";
import { DEFAULT_RULE_SETTINGS } from "../model/limits.ts";
import { objectKey } from "../model/names.ts";
import type { NodeContext } from "../model/node-context.ts";
import type { Node } from "../model/objects.ts";
import { AppliedStore } from "../sources/applied.ts";
import { openAttachments } from "../sources/attachments.ts";
import { LastGoodFile } from "../sources/last-good.ts";
import type { ManifestWatch } from "../sources/manifests/index.ts";
import { Agent } from "./agent.ts";
import { AgentBackend } from "./backend.ts";
import { ensureBpffs } from "./bpffs.ts";
import { HostFinder } from "./hosts.ts";
import { lockNode } from "./lock.ts";
import { createLogger, type Logger } from "./log.ts";
import { Tidying } from "./memory.ts";
import { followNode, nodeContext, nodeName } from "./node.ts";
import type { AgentParts } from "./parts.ts";
import { objectsDir, panelRoot, programCache } from "./paths.ts";
import { Programs } from "./programs.ts";
import { reportResults } from "./results.ts";
import { openSource } from "./source.ts";
import { TapFinder } from "./taps.ts";
import { removeNode, undoStart } from "./uninstall.ts";
import { untilKnown } from "./waiting.ts";

export interface AgentOptions {
  config: AgentConfig;
  /** Leaves everything in the kernel when the agent stops. */
  keep: boolean;
  logLevel: "debug" | "info" | "warn" | "error";
}

/** Runs a node's agent until the signal. Resolves once everything is removed from the kernel, or kept. */
export async function runAgent(options: AgentOptions, { signal }: { signal: AbortSignal }): Promise<void> {
  const { config } = options;
  const log = createLogger(options.logLevel, nodeName(config));
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  let agent: Agent | undefined;
  const changes = new EventTarget();
  const changed = (keys: ReadonlySet<string>): void => {
    agent?.changed(keys);
    changes.dispatchEvent(new Event("change"));
  };
  const source = openSource(config, changed, stop.signal);
  let lock: Lock | undefined;
  let undo = () => {};
  let parts: AgentParts | undefined;
  const tidying = new Tidying();
  try {
    if (source) await Promise.race([untilKnown(source, { config, changes, log, signal: stop.signal }), stopped]);
    if (signal.aborted) return;
    const node = ownNode(config, source);
    await clearSocket(config.socket); // refuses a second agent of the same node before it changes anything
    ensureBpffs(config);
    const fresh = !existsSync(panelRoot(config.bpffs, node.name));
    lock = claim(config, node.name);
    if (fresh) undo = () => undoStart(config, node.name);
    parts = start(config, node, source, () => agent?.programsChanged(), log, stop.signal);
    agent = new Agent(parts);
    const backend = new AgentBackend(agent);
    const server = await serve({ backend, socket: config.socket, metricsAddress: config.metrics });
    const results = source?.results && reportResults(source.results, agent, stop.signal);
    const { runner } = agent;
    agent.onPass = (seconds) => {
      server.metrics.reconciled(seconds);
      results?.mark();
      tidying.worked();
    };
    watchNetwork((news) => agent?.noticed(news), stop.signal);
    agent.start();
    undo = () => {};
    log.info({ socket: config.socket, abi: parts.datapath.panel.abi, mtu: parts.node.mtu }, "agent started");
    await stopped;
    await server.close();
    stop.abort();
    await runner.finished;
    if (!options.keep) removeNode(config, parts.node.name);
    log.info({ kept: options.keep }, "agent stopped");
  } finally {
    stop.abort();
    tidying.stop();
    await source?.close();
    undo();
    parts?.programs.close();
    parts?.panel.close();
    lock?.release();
  }
}

function ownNode(config: AgentConfig, manifests: ManifestWatch | undefined): NodeContext {
  const name = nodeName(config);
  const isOwn = (object: { kind: string; metadata: { name: string } }): object is Node =>
    object.kind === "Node" && object.metadata.name === name;
  return nodeContext(config, manifests?.snapshot().objects.find(isOwn));
}

/** Refuses a second agent of the same node that has another socket. */
function claim({ bpffs, state }: AgentConfig, node: string): Lock {
  const folders = [panelRoot(bpffs, node), state];
  for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o700 });
  return lockNode(`start agent of ${node}`, folders);
}

function start(
  config: AgentConfig,
  node: NodeContext,
  manifests: ManifestWatch | undefined,
  onChange: () => void,
  log: Logger,
  signal: AbortSignal,
): AgentParts {
  const panel = Panel.open({
    root: panelRoot(config.bpffs, node.name),
    objects: objectsDir(process.env),
    functions: functions.map((fn) => fn.name),
    sizes: { ports: config.panelPorts },
  });
  const builder = new Builder({
    wrapper: join(objectsDir(process.env), "custom.bpf.o"),
    cache: programCache(config.state),
    maps: join(panel.own, "maps"),
  });
  const datapath = openDatapath({
    panel,
    owner: objectKey("Node", node),
    programs: (build) => builder.path(build),
    tables: functions.flatMap((fn) => fn.tables),
    state: functions.flatMap((fn) => fn.state ?? []),
  });
  const endpoints = openAttachments({ folder: config.state, podCIDRs: node.podCIDRs });
  const lastGood = new LastGoodFile(config.state);
  const applied = new AppliedStore(config.state);
  const settings = { ...DEFAULT_RULE_SETTINGS, ...config.rules };
  const programs = new Programs({ folder: config.programs, builder, held: datapath.programs.held, onChange });
  const taps = config.mode === "chained" ? new TapFinder() : undefined;
  const hosts = new HostFinder({ folder: config.podCgroups });
  const sources = { settings, manifests, endpoints, lastGood, applied, programs, taps, hosts };
  const follow: AgentParts["follow"] = (object, before) => followNode(config, object, before);
  return { node, follow, ...sources, panel, datapath, bpffs: config.bpffs, log, signal };
}
