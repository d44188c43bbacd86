import { createCgroup, joinCgroup } from "./cgroups.ts";
import { messageOf } from "./errors.ts";
import { Lab, type LabOptions } from "./lab.ts";
import { labNames } from "./names.ts";
import { readRecord, writeRecord } from "./record.ts";
import { serveLab, UpProgress } from "./server.ts";

export interface SuperviseOptions extends Omit<LabOptions, "names" | "record"> {
  name: string;
  root?: string | undefined;
  signal: AbortSignal;
}

/**
 * The supervisor process of one lab, started by `weir lab up`. It runs in the lab's own cgroup, where `down` finds it.
 * It ends when `signal` is aborted; `teardown` removes what it created.
 */
export async function supervise(options: SuperviseOptions): Promise<void> {
  const names = labNames(options.name, options.root);
  const record = { ...readRecord(names), supervisor: { pid: process.pid } };
  createCgroup(`${record.cgroup}/supervisor`);
  joinCgroup(`${record.cgroup}/supervisor`);
  writeRecord(names, record);
  const lab = new Lab({ ...options, names, record });
  const up = new UpProgress((report) => lab.up(report));
  const server = await serveLab(names.socket, lab, up);
  up.done.catch((error) => process.stderr.write(`${messageOf(error)}\n`));
  if (!options.signal.aborted) {
    await new Promise<void>((resolve) => options.signal.addEventListener("abort", () => resolve(), { once: true }));
  }
  server.close();
  server.closeAllConnections();
  await lab.close();
}
