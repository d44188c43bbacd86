import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { version } from "../model/version.ts";
import type { Backend } from "./backend.ts";

/** Prometheus metrics of one agent. Everything but the reconcile times is read from the backend at each scrape. */
export interface Metrics {
  contentType: string;
  /** The text exposition. */
  text(): Promise<string>;
  /** One reconciliation took so many seconds. */
  reconciled(seconds: number): void;
}

/** How the process does: injected, so that tests are exact. */
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

export function createMetrics(backend: Backend, usage: ProcessUsage = ownUsage): Metrics {
  const registry = new Registry();
  const registers = [registry];

  new Gauge({ name: "weir_build_info", help: "1, with the version of the agent", labelNames: ["version"], registers })
    .labels(version)
    .set(1);
  const reconcile = new Histogram({
    name: "weir_agent_reconcile_seconds",
    help: "time from a change of the desired state to the kernel holding it",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  gauge("weir_agent_resident_memory_bytes", "resident memory of the agent", [], async (set) => set({}, usage.memory()));
  counter("weir_agent_cpu_seconds_total", "CPU time of the agent", [], async (add) => add({}, usage.cpu()));

  const ready = "1 if the agent's state is this one";
  gauge("weir_agent_state", ready, ["state"], async (set) => {
    const { state } = await backend.status();
    for (const each of ["starting", "ready", "degraded"]) set({ state: each }, each === state ? 1 : 0);
  });
  gauge("weir_pods", "pods of the node whose network is in force", [], async (set) =>
    set({}, (await backend.status()).pods),
  );
  gauge("weir_problems", "what could not be taken or enforced", [], async (set) =>
    set({}, (await backend.problems()).length),
  );

  const limitLabels = ["namespace", "pod", "direction"];
  for (const field of ["configured", "effective", "measured"] as const) {
    gauge(`weir_limit_${field}_bits_per_second`, `${field} rate at layer 3`, limitLabels, async (set) => {
      for (const { namespace, pod, direction, overruledBy, [field]: rate } of await backend.limits()) {
        if (rate !== null && direction !== null && overruledBy === undefined) set({ namespace, pod, direction }, rate);
      }
    });
  }

  const impairLabels = [...limitLabels, "source"];
  for (const field of ["packets", "lost", "duplicated", "corrupted", "reordered", "delayed"] as const) {
    const what = field === "packets" ? "packets that an impairment was for" : `of these, ${field}`;
    counter(`weir_impairment_${field}_total`, what, impairLabels, async (add) => {
      for (const { namespace, pod, direction, source, [field]: count } of await backend.impairments()) {
        add({ namespace, pod, direction, source }, count);
      }
    });
  }
  gauge("weir_impairment_active", "1 while an impairment acts", impairLabels, async (set) => {
    for (const { namespace, pod, direction, source, state } of await backend.impairments()) {
      set({ namespace, pod, direction, source }, state === "active" ? 1 : 0);
    }
  });

  for (const field of ["packets", "dropped"] as const) {
    const what = field === "packets" ? "packets that a user's program saw" : "of these, dropped";
    counter(`weir_program_${field}_total`, what, [...impairLabels, "program"], async (add) => {
      for (const { namespace, pod, direction, source, program, [field]: count } of await backend.programs()) {
        add({ namespace, pod, direction, source, program }, count);
      }
    });
  }

  for (const unit of ["packets", "bytes"] as const) {
    const name = unit === "packets" ? "weir_drops_total" : "weir_drop_bytes_total";
    counter(name, `dropped ${unit} by reason`, ["reason"], async (add) => {
      for (const { reason, [unit]: value } of await backend.drops()) add({ reason }, value);
    });
    counter(`weir_port_${unit}_total`, `${unit} through a port`, ["port", "direction"], async (add) => {
      for (const { name: port, received, sent } of await backend.ports()) {
        add({ port, direction: "received" }, received[unit]);
        add({ port, direction: "sent" }, sent[unit]);
      }
    });
  }

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    reconciled: (seconds) => reconcile.observe(seconds),
  };

  function gauge(name: string, help: string, labelNames: string[], read: Read): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset();
        await read((labels, value) => this.set(labels, value));
      },
    });
  }

  function counter(name: string, help: string, labelNames: string[], read: Read): void {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset();
        await read((labels, value) => this.inc(labels, value));
      },
    });
  }
}

type Read = (put: (labels: Record<string, string>, value: number) => void) => Promise<void>;
