import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { version } from "../model/version.ts";
import type { Backend } from "./backend.ts";
import { type Family, families, type Sample, type Scrape } from "./metric-families.ts";
import { Totals } from "./totals.ts";

/** Prometheus metrics of one agent. All but the durations of passes are read from the backend at each scrape. */
export interface Metrics {
  contentType: string;
  /** The text exposition. */
  text(): Promise<string>;
  /** Records the duration of a pass, seconds. */
  reconciled(seconds: number): void;
}

/** The process's resource usage, injected so that tests are exact. */
export interface ProcessUsage {
  /** Resident memory, bytes. */
  memory(): number;
  /** CPU time since start, seconds. */
  cpu(): number;
}

const ownUsage: ProcessUsage = {
  memory: () => process.memoryUsage.rss(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

/** Of the agent's own process. */
const processFamilies = (usage: ProcessUsage): Family[] => [
  {
    name: "weir_build_info",
    type: "gauge",
    help: "Always 1, with the version of the agent.",
    labels: ["version"],
    read: async () => [{ labels: { version }, value: 1 }],
  },
  {
    name: "weir_agent_resident_memory_bytes",
    type: "gauge",
    help: "Resident memory of the agent.",
    labels: [],
    read: async () => [{ labels: {}, value: usage.memory() }],
  },
  {
    name: "weir_agent_cpu_seconds_total",
    type: "counter",
    help: "CPU time used by the agent.",
    labels: [],
    read: async () => [{ labels: {}, value: usage.cpu() }],
  },
];

export function createMetrics(backend: Backend, usage: ProcessUsage = ownUsage): Metrics {
  const registry = new Registry();
  const passes = new Histogram({
    name: "weir_agent_reconcile_seconds",
    help: "Duration of a pass, from planning to the last write to the kernel.",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  const shown = [...processFamilies(usage), ...families].map((family) => show(family, registry));

  return {
    contentType: registry.contentType,
    async text() {
      const scrape = readOnce(backend);
      const pods = new Set((await scrape.pods()).map(({ namespace, name }) => `${namespace}/${name}`));
      const isThere = ({ namespace, pod }: Sample["labels"]): boolean => pods.has(`${namespace}/${pod}`);
      const samples = await Promise.all(shown.map(({ family }) => family.read(scrape)));
      for (const [index, { put }] of shown.entries()) put(samples[index] ?? [], isThere);
      return registry.metrics();
    },
    reconciled: (seconds) => passes.observe(seconds),
  };
}

interface Shown {
  family: Family;
  put(samples: readonly Sample[], isThere: (labels: Sample["labels"]) => boolean): void;
}

function show(family: Family, registry: Registry): Shown {
  const { name, help, labels } = family;
  const options = { name, help, labelNames: [...labels], registers: [registry] };
  if (family.type === "gauge") {
    const gauge = new Gauge(options);
    return {
      family,
      put(samples) {
        gauge.reset();
        for (const { labels, value } of samples) gauge.set(labels, value);
      },
    };
  }
  const counter = new Counter(options);
  const totals = new Totals();
  return {
    family,
    put(samples, isThere) {
      counter.reset();
      for (const { labels, value } of totals.update(samples, isThere)) counter.inc(labels, value);
    },
  };
}

/** Reads each list of the backend at most once, when it is first needed. */
function readOnce(backend: Backend): Scrape {
  const known = new Map<keyof Scrape, unknown>();
  const once = <Name extends keyof Scrape>(name: Name): Scrape[Name] =>
    (() => {
      if (!known.has(name)) known.set(name, backend[name]());
      return known.get(name);
    }) as Scrape[Name];
  return {
    status: once("status"),
    problems: once("problems"),
    pods: once("pods"),
    limits: once("limits"),
    impairments: once("impairments"),
    programs: once("programs"),
    drops: once("drops"),
    ports: once("ports"),
    owners: once("owners"),
  };
}
