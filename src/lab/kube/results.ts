import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../../api/client.ts";
import type { Problem } from "../../model/problem.ts";
import { EventQuota, objectResultsOf, type Results, type ResultsClient, ResultWriter } from "../../results/index.ts";
import type { ObjectStatus } from "../../sources/kubernetes/index.ts";
import { reached } from "../in-force.ts";

/** The supervisor's state at one moment. */
export interface ResultsView {
  /** Version of the rules that agents were given; they report it once it is in force. */
  version: string;
  /** Limits and Impairments, with their statuses, as of that version. */
  statuses: readonly ObjectStatus[];
  /** Rule objects that the supervisor itself could not read. */
  problems: readonly Problem[];
  /** Names of all nodes of the cluster. */
  nodes: ReadonlySet<string>;
  /** Node of a pod of the lab, by `namespace/name`. */
  nodeOf(pod: string): string | undefined;
  /** `metadata.uid` of an object, by `Kind/namespace/name`. */
  uid(object: string): string | undefined;
}

/** The calls of an agent's API that are used. */
export type AgentReader = Pick<Client, "status" | "list">;

export interface LabResultsOptions {
  client: ResultsClient;
  /** By node name. */
  agents: ReadonlyMap<string, AgentReader>;
  look(): ResultsView;
  /** Intervals at which agents are polled, ms: the shortest after a change, growing without one. */
  pauses?: { shortest: number; longest: number } | undefined;
}

/** `owed`: the agent had no result yet when it was last asked. */
interface Debt {
  owed: boolean;
}

const PAUSES = { shortest: 100, longest: 2000 };

/**
 * Writes the results of the lab's agents to the API, as agents with their own API access do: the same conditions by the
 * same authors, one entry for each node, and the same events.
 */
export class LabResults {
  readonly #options: LabResultsOptions;
  readonly #abort = new AbortController();
  readonly #quota = new EventQuota(performance.now());
  readonly #troubles = new Map<string, string>();
  readonly #nodes: readonly { writer: ResultWriter; hurry: () => void; done: Promise<void> }[];

  /** Starts writing at once. */
  constructor(options: LabResultsOptions) {
    this.#options = options;
    this.#nodes = [...options.agents].map(([node, agent]) => {
      const debt = { owed: false };
      const writer = this.#writer(node, agent, debt);
      return { writer, ...this.#follow(agent, writer, debt) };
    });
  }

  /** Why results are not written. */
  get troubles(): string[] {
    return [...this.#troubles.values()];
  }

  /** Called when the view has changed. */
  changed(): void {
    for (const { writer, hurry } of this.#nodes) {
      writer.mark();
      hurry();
    }
  }

  /** Called when agents have been given something new. */
  hurry(): void {
    for (const { hurry } of this.#nodes) hurry();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#nodes.map(({ done }) => done));
  }

  #writer(node: string, agent: AgentReader, debt: Debt): ResultWriter {
    const log = {
      warn: ({ message }: { message: string }) =>
        void this.#troubles.set(node, `write results of node ${node}: ${message}`),
      info: () => void this.#troubles.delete(node),
    };
    const { client, look } = this.#options;
    const shared = { client, log, quota: this.#quota, signal: this.#abort.signal };
    const results = async () => {
      const found = await collect(node, agent, look);
      debt.owed = found === undefined;
      return found;
    };
    return new ResultWriter({ ...shared, node, collect: results });
  }

  /** Marks the writer when the agent has made a pass, or answers again. */
  #follow(agent: AgentReader, writer: ResultWriter, debt: Debt): { hurry: () => void; done: Promise<void> } {
    const { shortest, longest } = this.#options.pauses ?? PAUSES;
    const { signal } = this.#abort;
    let pause = shortest;
    let wake = new AbortController();
    const run = async (): Promise<void> => {
      for (let last: string | undefined; !signal.aborted; ) {
        const seen = await passOf(agent).catch(() => undefined);
        if (seen !== undefined && (seen !== last || debt.owed)) writer.mark();
        last = seen ?? last;
        wake = new AbortController();
        await sleep(pause, undefined, { signal: AbortSignal.any([signal, wake.signal]), ref: false }).catch(() => {});
        pause = Math.min(pause * 1.5, longest);
      }
    };
    const hurry = (): void => {
      pause = shortest;
      wake.abort();
    };
    return { hurry, done: run() };
  }
}

/** A number that changes with each pass and each start of the agent. */
async function passOf(agent: AgentReader): Promise<string> {
  const { startedAt, observed } = await agent.status();
  return `${startedAt} ${observed.generation} ${observed.reconciledAt}`;
}

/** The results of one node's agent; undefined if it has not handled the latest rules or does not answer. */
async function collect(node: string, agent: AgentReader, look: () => ResultsView): Promise<Results | undefined> {
  const view = look();
  const answers = await ask(agent, view.version).catch(() => undefined);
  // These answers may already contain newer rules: they would be reported with the old generation of the object.
  if (answers === undefined || look().version !== view.version) return undefined;
  const { receipts, problems } = answers;
  const refused = view.problems.filter(({ object }) => /^(Limit|Impairment)\//.test(object));
  const own = problems.filter(({ object }) => isOf(node, object, view));
  return {
    statuses: view.statuses,
    findings: objectResultsOf(receipts, problems, refused),
    problems: [...own, ...view.problems],
    uid: view.uid,
    nodes: view.nodes,
  };
}

async function ask(agent: AgentReader, version: string) {
  const { observed } = await agent.status();
  if (!reached(observed.resourceVersion, version)) return undefined;
  const [limits, impairments, problems] = await Promise.all([
    agent.list("limits"),
    agent.list("impairments"),
    agent.list("problems"),
  ]);
  return { receipts: [...limits, ...impairments], problems };
}

/** A pod's problems are reported by its own node only. */
function isOf(node: string, object: string, { nodeOf }: ResultsView): boolean {
  const [, pod] = /^Pod\/(.+)$/.exec(object) ?? [];
  return pod === undefined || nodeOf(pod) === node;
}
