import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { type Access, openAccess } from "./access.ts";
import { KubernetesClient } from "./client.ts";
import type { ConnectionError } from "./errors.ts";
import { Reflector } from "./reflector.ts";
import { watchKubernetes } from "./source.ts";
import { makeCertificate, type TlsServer, tlsServer } from "./testing/tls-server.ts";

const PODS = { apiVersion: "v1", kind: "Pod", plural: "pods" };
const [old, renewed, server1, server2] = ["old", "renewed", "server", "server"].map(makeCertificate) as [
  ...ReturnType<typeof makeCertificate>[],
] as [Pem, Pem, Pem, Pem];
type Pem = ReturnType<typeof makeCertificate>;

let folder: string;
let server: TlsServer;
let other: TlsServer;
const cleanup: (() => unknown)[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "weir-access-"));
  const clients = [old.cert, renewed.cert];
  server = await tlsServer({ ...server1, clients });
  other = await tlsServer({ ...server1, clients });
});
afterEach(async () => {
  for (const one of cleanup.splice(0).reverse()) await one();
  await Promise.all([server.close(), other.close()]);
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const write = (name: string, text: string): void => writeFileSync(at(name), text);
/** Replaces a file by rename, as tools that renew certificates do. */
function swap(name: string, text: string): void {
  write(`${name}.new`, text);
  renameSync(at(`${name}.new`), at(name));
}

interface Parts {
  url?: string;
  token?: string;
  /** The current context first, then others. */
  contexts?: [string, ...string[]];
}
/** A kubeconfig that refers to files. A second context is for the other server. */
function kubeconfig({ url = server.url, token, contexts = ["one", "two"] }: Parts = {}): string {
  const trust = { "certificate-authority": "ca.crt" };
  const user = {
    "client-certificate": "client.crt",
    "client-key": "client.key",
    ...(token ? { token } : { tokenFile: "token" }),
  };
  return JSON.stringify({
    "current-context": contexts[0],
    clusters: [
      { name: "one", cluster: { server: url, ...trust } },
      { name: "two", cluster: { server: other.url, ...trust } },
    ],
    users: [{ name: "u", user }],
    contexts: contexts.map((name) => ({ name, context: { cluster: name === "two" ? "two" : "one", user: "u" } })),
  });
}

function open(context?: string): { access: Access; client: KubernetesClient } {
  write("ca.crt", server1.cert);
  write("client.crt", old.cert);
  write("client.key", old.key);
  write("token", "first\n");
  write("config", kubeconfig());
  const access = openAccess({ kubeconfig: at("config"), context, env: {}, home: folder });
  const client = new KubernetesClient(access);
  cleanup.push(() => client.close());
  return { access, client };
}

describe("the next request uses", () => {
  test("a renewed certificate and key, on a new connection", async () => {
    const { client } = open();
    await client.list(PODS);
    swap("client.crt", renewed.cert);
    swap("client.key", renewed.key);
    await client.list(PODS);
    expect(server.seen.map(({ name }) => name)).toEqual(["old", "renewed"]);
    expect(client.trouble).toBeUndefined();
  });

  test("another CA", async () => {
    const { client } = open();
    await client.list(PODS);
    server.show(server2);
    write("client.crt", renewed.cert);
    write("client.key", renewed.key);
    const refused = await client.list(PODS).catch((error: ConnectionError) => error.code);
    expect(refused).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
    swap("ca.crt", server2.cert);
    await client.list(PODS);
    expect(server.seen.map(({ name }) => name)).toEqual(["old", "renewed"]);
  });

  test("another token, on the same connection", async () => {
    const { client } = open();
    await client.list(PODS);
    write("token", "second\n");
    await client.list(PODS);
    expect(server.seen.map(({ token }) => token)).toEqual(["first", "second"]);
  });

  test("another kubeconfig: its server and its token", async () => {
    const { client } = open();
    await client.list(PODS);
    swap("config", kubeconfig({ url: other.url, token: "inline" }));
    await client.list(PODS);
    expect([server.seen.length, other.seen.map(({ token }) => token)]).toEqual([1, ["inline"]]);
    expect(client.server).toBe(other.url);
  });

  test("a projected volume that is replaced by swapping a symlink", async () => {
    const { client: _, access } = open();
    for (const [version, { cert, key }] of Object.entries({ v1: old, v2: renewed })) {
      mkdirSync(at(version));
      write(`${version}/client.crt`, cert);
      write(`${version}/client.key`, key);
    }
    symlinkSync("v1", at("..data"));
    for (const name of ["client.crt", "client.key"]) {
      unlinkSync(at(name));
      symlinkSync(join("..data", name), at(name));
    }
    expect(access.current().tls.cert).toBe(old.cert);
    symlinkSync("v2", at("..data_tmp"));
    renameSync(at("..data_tmp"), at("..data"));
    expect(access.current().tls).toMatchObject({ cert: renewed.cert, key: renewed.key });
    expect(access.trouble).toBeUndefined();
  });
});

describe("unusable files leave the last valid state in use, with a problem", () => {
  const half = (text: string): string => text.slice(0, text.length / 2);
  test.each<[string, () => void, () => void, RegExp]>([
    [
      "a certificate without its key",
      () => write("client.crt", renewed.cert),
      () => write("client.key", renewed.key),
      /the key belongs to another certificate/,
    ],
    [
      "half a certificate",
      () => write("client.crt", half(old.cert)),
      () => write("client.crt", old.cert),
      /client\.crt is not a PEM certificate/,
    ],
    [
      "half a key",
      () => write("client.key", half(old.key)),
      () => write("client.key", old.key),
      /client\.key is not a PEM private key/,
    ],
    [
      "half a CA",
      () => write("ca.crt", half(server1.cert)),
      () => write("ca.crt", server1.cert),
      /ca\.crt is not a PEM certificate/,
    ],
    ["no CA file", () => unlinkSync(at("ca.crt")), () => write("ca.crt", server1.cert), /ca\.crt: ENOENT/],
    ["an empty token", () => write("token", ""), () => write("token", "third"), /the token in .* must be printable/],
    ["no token file", () => unlinkSync(at("token")), () => write("token", "third"), /token: ENOENT/],
    [
      "half a kubeconfig",
      () => write("config", half(kubeconfig())),
      () => write("config", kubeconfig()),
      /read kubeconfig .*config/,
    ],
    ["an empty kubeconfig", () => write("config", ""), () => write("config", kubeconfig()), /is empty/],
    ["no kubeconfig", () => unlinkSync(at("config")), () => write("config", kubeconfig()), /config: ENOENT/],
    [
      "a kubeconfig that asks for a plug-in",
      () => write("config", kubeconfig().replace('"tokenFile":"token"', '"exec":{}')),
      () => write("config", kubeconfig()),
      /users\[0\]\.user\.exec: is not supported/,
    ],
  ])("%s", async (_, spoil, mend, message) => {
    const { client } = open();
    spoil();
    await client.list(PODS);
    expect(client.trouble).toMatch(message);
    expect(client.trouble).toMatch(/; the previous state stays in use$/);
    mend();
    await client.list(PODS);
    expect(client.trouble).toBeUndefined();
    expect(server.seen).toHaveLength(2);
  });
});

describe("the context", () => {
  it("stays the same when current-context changes", () => {
    const { access } = open();
    swap("config", kubeconfig({ contexts: ["two", "one"] }));
    expect(access.current()).toMatchObject({ server: server.url, context: "one" });
  });
  it("is the current-context if the old one is removed", () => {
    const { access } = open();
    swap("config", kubeconfig({ contexts: ["two"] }));
    expect(access.current()).toMatchObject({ server: other.url, context: "two" });
  });
  it("that was configured is never replaced", () => {
    const { access } = open("one");
    swap("config", kubeconfig({ contexts: ["two"] }));
    expect(access.current()).toMatchObject({ server: server.url, context: "one" });
    expect(access.trouble).toMatch(/contexts: no context "one" \(there are: "two"\)/);
  });
});

describe("watches", () => {
  const times = { shortest: 5, longest: 10, lasting: 0 };
  it("reconnect with the new certificate; another server is listed again", async () => {
    const { client } = open();
    const pods = new Reflector({ client, resource: PODS, read: (raw) => raw, onChange: () => {}, times });
    cleanup.push(() => pods.close());
    await expect.poll(() => server.seen.length).toBe(2);
    swap("client.crt", renewed.cert);
    swap("client.key", renewed.key);
    server.endWatches();
    await expect.poll(() => server.seen.map(({ name }) => name)).toEqual(["old", "old", "renewed"]);
    swap("config", kubeconfig({ url: other.url }));
    expect(client.trouble).toBeUndefined(); // checking closes connections to the old server
    await expect.poll(() => other.seen.length).toBe(2);
  });

  it("a source reports problems of its files, and since when it is refused", async () => {
    const { client } = open();
    let changes = 0;
    const watch = watchKubernetes({ client, onChange: () => changes++, settle: 1, times: { ...times, files: 5 } });
    cleanup.push(() => watch.close());
    await watch.synced;
    write("token", "");
    await expect.poll(() => changes).toBeGreaterThan(0);
    expect(watch.snapshot().problems).toMatchObject([{ object: server.url, severity: "warning" }]);
    write("token", "second");
    await expect.poll(() => watch.snapshot().problems).toEqual([]);
    const before = Date.now();
    server.refuse(401);
    await expect.poll(() => watch.troubles().length).toBe(7);
    for (const { message, staleSince = 0 } of watch.troubles()) {
      expect(message).toMatch(/: 401 Unauthorized; the last state stays$/);
      expect(staleSince).toBeGreaterThanOrEqual(before);
    }
    server.refuse(undefined);
    await expect.poll(() => watch.troubles()).toEqual([]);
  });
});
