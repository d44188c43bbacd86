import { supervise as run } from "../supervise.ts";
import { type LabIo, labsRoot, needRoot } from "./io.ts";

/** The process that `up` leaves running. `capabilities`: those that the agents keep. */
export async function supervise(
  options: { name: string; capabilities: readonly string[] },
  io: LabIo,
): Promise<number> {
  needRoot(`supervise lab ${options.name}`);
  await run({
    name: options.name,
    root: labsRoot(io),
    program: { command: [process.execPath, process.argv[1] ?? "weir"], capabilities: options.capabilities },
    env: io.env as NodeJS.ProcessEnv,
    connect: io.connect,
    now: Date.now,
    signal: io.signal,
  });
  return 0;
}
