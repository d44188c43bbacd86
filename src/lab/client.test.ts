import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { LabClient } from "./client.ts";
import { labNames } from "./names.ts";

it("reports that the lab ended during a call", async () => {
  const dir = mkdtempSync(`${tmpdir()}/weir-client-`);
  const socket = `${dir}/lab.sock`;
  const server = createServer((_, response) => {
    response.write(`{"step":{"state":"done","text":"half"}}\n`, () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const seen: string[] = [];
  const call = new LabClient({ ...labNames("x"), socket }).progress(({ text }) => seen.push(text));
  await expect(call).rejects.toMatchObject({
    code: "gone",
    message: expect.stringContaining("it ended during the call"),
  });
  expect(seen).toEqual(["half"]);
  server.close();
  rmSync(dir, { recursive: true });
});

it("aborts a call when it is interrupted and the lab does not answer", async () => {
  const dir = mkdtempSync(`${tmpdir()}/weir-client-`);
  const socket = `${dir}/lab.sock`;
  const server = createServer((_, response) => {
    response.write(`{"step":{"state":"start","text":"waiting"}}\n`);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const stop = new AbortController();
  const call = new LabClient({ ...labNames("x"), socket }, stop.signal).apply([], () => stop.abort());
  await expect(call).rejects.toMatchObject({ name: "AbortError" });
  server.closeAllConnections();
  server.close();
  rmSync(dir, { recursive: true });
});
