import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "./config.ts";
import { buildApp } from "./server.ts";
import { MemoryBackend } from "./testing/memory.ts";

const hostile = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.constantFrom("..", "../../etc/passwd", "$(id)", "a;b", "a\nb", "a\u0000", "__proto__", "constructor", "%", "%2F"),
);

test("any name and body gets an answer of the API, and only valid names are accepted", async () => {
  const backend = new MemoryBackend("node-1");
  const { app } = await buildApp(backend);
  const body = fc.oneof(
    fc.record({ uid: hostile, netns: hostile, ifname: hostile }, { requiredKeys: [] }),
    fc.dictionary(hostile, fc.jsonValue()),
    fc.jsonValue(),
  );
  await fc.assert(
    fc.asyncProperty(hostile, hostile, body, async (namespace, name, payload) => {
      const url = `/v1/endpoints/${encode(namespace)}/${encode(name)}`;
      const headers = { "content-type": "application/json" };
      const answer = await app.inject({ method: "PUT", url, headers, payload: JSON.stringify(payload) });
      expect([200, 201, 400, 404, 409]).toContain(answer.statusCode);
      if (answer.statusCode < 300) return;
      const { error } = answer.json();
      expect(error.code).toMatch(/^(invalid|missing|exists)$/);
      expect(error.message).toMatch(/^[ -~]+$/);
    }),
    { numRuns: 300 },
  );
  for (const { namespace, name, netns } of backend.state.endpoints) {
    expect(`${namespace}/${name}`).toMatch(/^[a-z0-9-]+\/[a-z0-9.-]+$/);
    expect(netns).toMatch(/^\//);
  }
});

const head = "apiVersion: weir.dev/v1alpha1\nkind: AgentConfig\n";
const fields = fc.constantFrom(
  "node",
  "addresses",
  "podCIDRs",
  "vxlan",
  "mtu",
  "rules",
  "metrics",
  "bpffs",
  "nonsense",
);
const configs = fc.oneof(
  hostile,
  hostile.map((text) => head + text),
  fc.tuple(fields, fc.oneof(hostile, fc.json())).map(([field, value]) => `${head}${field}: ${value}`),
  fc.dictionary(hostile, hostile).map((map) => JSON.stringify(map)),
);

test("any configuration file is read, or refused with its name", () => {
  fc.assert(
    fc.property(configs, (text) => {
      try {
        parseConfig(text, "agent.yaml");
      } catch (error) {
        expect(error).toMatchObject({ code: "config", message: expect.stringMatching(/^read agent\.yaml/) });
      }
    }),
    { numRuns: 1000 },
  );
});

/** A lone surrogate has no encoding. */
function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}
