import { labNames } from "../names.ts";
import { teardown } from "../teardown.ts";
import { type LabIo, labsRoot, needRoot, withProgress } from "./io.ts";

/** Removes a lab and everything that it created, in any state. */
export async function down(options: { name: string }, io: LabIo): Promise<number> {
  needRoot(`stop lab ${options.name}`);
  const root = labsRoot(io);
  const names = labNames(options.name, root);
  return withProgress(io, async ({ report }) => {
    report({ state: "start", text: `removing lab ${options.name}` });
    await teardown(names, io.connect, root);
    report({ state: "done", text: `lab ${options.name} is gone` });
    return 0;
  });
}
