import type { Io } from "./io.ts";

/** Prints documents as JSON, or as YAML with `---` between several. */
export async function print(io: Io, format: "json" | "yaml", ...documents: readonly unknown[]): Promise<void> {
  if (format === "json") {
    for (const document of documents) io.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  const { stringify } = await import("./yaml.ts");
  io.stdout.write(
    documents.map((document) => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n"),
  );
}
