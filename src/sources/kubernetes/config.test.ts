import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { openAccess } from "./access.ts";
import { type ConfigOptions, KubernetesConfigError, loadKubernetesConfig } from "./config.ts";

const CA = "-----BEGIN CERTIFICATE-----\nY2E=\n-----END CERTIFICATE-----\n";
const CERT = "-----BEGIN CERTIFICATE-----\nY2VydA==\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN EC PRIVATE KEY-----\na2V5\n-----END EC PRIVATE KEY-----\n";
const base64 = (text: string) => Buffer.from(text).toString("base64");

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "weir-kubeconfig-"));
});
afterEach(() => rmSync(home, { recursive: true }));

const write = (name: string, text: string): string => {
  mkdirSync(join(home, name, ".."), { recursive: true });
  writeFileSync(join(home, name), text);
  return join(home, name);
};
const load = (options: Partial<ConfigOptions> = {}) =>
  loadKubernetesConfig({ env: {}, home, serviceAccount: join(home, "sa"), ...options });

interface Parts {
  cluster?: object;
  user?: object | null;
  context?: object;
  current?: string;
}
/** A kubeconfig with one context `c`; JSON is YAML. */
const kubeconfig = ({ cluster = {}, user = {}, context = {}, current = "c" }: Parts = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": current,
    clusters: [{ name: "k", cluster: { server: "https://api.test:6443/", ...cluster } }],
    users: [{ name: "u", user }],
    contexts: [{ name: "c", context: { cluster: "k", user: "u", ...context } }],
  });

describe("where the API is found", () => {
  const named = (server: string) => kubeconfig({ cluster: { server } });
  const servers = (options: Partial<ConfigOptions>) => load(options).server;

  it("takes the given file before $KUBECONFIG, that before ~/.kube/config, and that before the pod's cluster", () => {
    write("sa/token", "t");
    write("sa/ca.crt", CA);
    const pod = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    expect(servers({ env: pod })).toBe("https://[fd00::1]:6443");
    write(".kube/config", named("https://home.test"));
    expect(servers({ env: pod })).toBe("https://home.test");
    const env = { ...pod, KUBECONFIG: write("env", named("https://env.test")) };
    expect(servers({ env })).toBe("https://env.test");
    expect(servers({ env, kubeconfig: write("flag", named("http://flag.test:80/prefix/")) })).toBe(
      "http://flag.test/prefix",
    );
  });

  it("merges the files of $KUBECONFIG: the first entry of a name counts, missing files are ignored", () => {
    const first = write("1", JSON.stringify({ contexts: [{ name: "c", context: { cluster: "k", namespace: "ns" } }] }));
    const second = write("2", kubeconfig());
    const env = { KUBECONFIG: `${join(home, "none")}:${first}::${second}` };
    expect(load({ env })).toMatchObject({ server: "https://api.test:6443", namespace: "ns" });
    expect(() => load({ env: { KUBECONFIG: join(home, "none") } })).toThrow("none of these files is there");
  });

  it("reads the pod's token at every request", () => {
    const token = write("sa/token", "one\n");
    write("sa/ca.crt", CA);
    write("sa/namespace", "weir");
    const env = { KUBERNETES_SERVICE_HOST: "10.96.0.1" };
    const access = openAccess({ env, home, serviceAccount: join(home, "sa") });
    expect(access.current()).toMatchObject({
      server: "https://10.96.0.1",
      origin: "in-cluster",
      namespace: "weir",
      tls: { ca: CA },
    });
    expect(access.current().token).toBe("one");
    writeFileSync(token, "two");
    expect(access.current().token).toBe("two");
    rmSync(token);
    write(".kube/config", kubeconfig());
    expect(access.current().token).toBe("two");
    expect(access.trouble).toMatch(/token: ENOENT|not in a pod/);
  });

  it("reports what is missing if no API is found", () => {
    expect(() => load()).toThrow(/find a Kubernetes API: no .*\.kube\/config, and not in a pod/);
  });
});

describe("contents of a kubeconfig", () => {
  const given = (parts: Parts, options: Partial<ConfigOptions> = {}) =>
    load({ kubeconfig: write("dir/config", kubeconfig(parts)), ...options });

  test.each([
    ["nothing but a server", {}, { tls: { insecure: false }, namespace: "default" }],
    ["a user that is null", { user: null }, { tls: { insecure: false } }],
    ["CA data", { cluster: { "certificate-authority-data": base64(CA) } }, { tls: { ca: CA } }],
    ["a CA file beside it", { cluster: { "certificate-authority": "ca.crt" } }, { tls: { ca: CA } }],
    [
      "data before file",
      { cluster: { "certificate-authority": "none", "certificate-authority-data": base64(CA) } },
      { tls: { ca: CA } },
    ],
    ["no verification", { cluster: { "insecure-skip-tls-verify": true } }, { tls: { insecure: true } }],
    ["a server name", { cluster: { "tls-server-name": "kubernetes" } }, { tls: { serverName: "kubernetes" } }],
    [
      "client certificate data",
      { user: { "client-certificate-data": base64(CERT), "client-key-data": base64(KEY) } },
      { tls: { cert: CERT, key: KEY } },
    ],
    [
      "client certificate files",
      { user: { "client-certificate": "../cert", "client-key": "../key" } },
      { tls: { cert: CERT, key: KEY } },
    ],
  ])("%s", (_, parts, expected) => {
    write("dir/ca.crt", CA);
    write("cert", CERT);
    write("key", KEY);
    expect(given(parts)).toMatchObject(expected);
  });

  it("tokenFile takes precedence over token", () => {
    expect(given({ user: { token: "abc" } }).token).toBe("abc");
    write("dir/token", "from-file\n");
    expect(given({ user: { token: "abc", tokenFile: "token" } }).token).toBe("from-file");
  });

  it("uses the configured context", () => {
    const text = kubeconfig({ current: "gone" });
    expect(load({ kubeconfig: write("k", text), context: "c" }).server).toBe("https://api.test:6443");
  });

  test.each<[string, Parts, string]>([
    ["an unknown current context", { current: "x" }, 'current-context: no context "x" (there are: "c")'],
    ["no current context", { current: "" }, "current-context: is not set"],
    ["an unknown cluster", { context: { cluster: "x" } }, 'contexts[0].context.cluster: no cluster "x"'],
    ["an unknown user", { context: { user: "x" } }, 'contexts[0].context.user: no user "x"'],
    ["another scheme", { cluster: { server: "ftp://x" } }, 'clusters[0].cluster.server: "ftp://x" is not an http'],
    ["a password in the URL", { cluster: { server: "https://a:b@x" } }, "clusters[0].cluster.server: must not hold"],
    ["no server", { cluster: { server: null } }, "clusters[0].cluster.server: "],
    ["a proxy", { cluster: { "proxy-url": "http://p" } }, "clusters[0].cluster.proxy-url: proxies"],
    ["a CA that is none", { cluster: { "certificate-authority-data": "AAAA" } }, "certificate-authority-data: is not"],
    ["a CA file that is missing", { cluster: { "certificate-authority": "x" } }, "certificate-authority: "],
    [
      "a CA with no verification",
      { cluster: { "certificate-authority-data": base64(CA), "insecure-skip-tls-verify": true } },
      "insecure-skip-tls-verify: does not go with",
    ],
    [
      "a certificate alone",
      { user: { "client-certificate-data": base64(CERT) } },
      "users[0].user.client-key: is required",
    ],
    ["a key alone", { user: { "client-key-data": base64(KEY) } }, "users[0].user.client-certificate: is required"],
    ["a plug-in", { user: { exec: { command: "x" } } }, "users[0].user.exec: is not supported"],
    ["impersonation", { user: { as: "root" } }, "users[0].user.as: is not supported"],
    ["a token that breaks the header", { user: { token: "a\r\nb: c" } }, "users[0].user.token: must be printable"],
    ["a token that is a number", { user: { token: 5 } }, "users[0].user.token: "],
    ["a token file that is missing", { user: { tokenFile: "x" } }, "users[0].user.tokenFile: "],
  ])("refuses %s, with file and field", (_, parts, message) => {
    const error = (() => {
      try {
        return given(parts);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(KubernetesConfigError);
    expect((error as Error).message).toContain(join(home, "dir/config"));
    expect((error as Error).message).toContain(message);
  });

  test.each([
    ["not YAML", "a: [", /read kubeconfig .*: /],
    ["empty", "", /is empty/],
    ["a list", "[]", /the file: /],
  ])("refuses a file that is %s", (_, text, message) => {
    expect(() => load({ kubeconfig: write("k", text) })).toThrow(message);
  });

  it("refuses a configured file that is missing, and never prints a secret", () => {
    expect(() => load({ kubeconfig: join(home, "none") })).toThrow("ENOENT");
    const text = JSON.stringify({ users: [{ name: "u", user: { token: ["s3cret"] } }] });
    expect(() => load({ kubeconfig: write("k", text) })).toThrow(/^(?!.*s3cret).*users\[0\]\.user\.token/);
  });
});
