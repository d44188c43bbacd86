import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Daemon } from "./process.ts";
import { controlPlanePrograms, type Programs } from "./programs.ts";

/** The result of a run of kubectl. */
export interface Kubectl {
  code: number;
  out: string;
  err: string;
}

interface Ports {
  etcd: number;
  peer: number;
  api: number;
}

const ADMIN = "admin-of-a-test";
const READY = 180_000;

/**
 * etcd and kube-apiserver on free ports of 127.0.0.1: a real API with RBAC, dual-stack Services, watches and CRDs, but
 * no controllers, scheduler or kubelet. Both end with `close()`, or with this process.
 */
export class ControlPlane {
  readonly folder = mkdtempSync(join(tmpdir(), "weir-control-plane-"));
  /** Kubeconfig of an administrator. */
  readonly kubeconfig = join(this.folder, "admin.yaml");
  readonly #programs: Programs;
  readonly #ports: Ports;
  #etcd: Daemon | undefined;
  #api: Daemon | undefined;

  private constructor(programs: Programs, ports: Ports) {
    this.#programs = programs;
    this.#ports = ports;
  }

  /** Starts a control plane, and waits until it is ready: two to five seconds. Removes everything if that fails. */
  static async start(): Promise<ControlPlane> {
    const [etcd = 0, peer = 0, api = 0] = await freePorts(3);
    const plane = new ControlPlane(controlPlanePrograms(), { etcd, peer, api });
    try {
      plane.#prepare();
      plane.startEtcd();
      await plane.startApi();
      writeFileSync(plane.kubeconfig, plane.kubeconfigOf(ADMIN));
    } catch (error) {
      await plane.close();
      throw error;
    }
    return plane;
  }

  /** `https://127.0.0.1:PORT` */
  get server(): string {
    return `https://127.0.0.1:${this.#ports.api}`;
  }

  /** Certificate of the API server (self-signed), PEM. */
  get ca(): string {
    return readFileSync(join(this.folder, "certs", "apiserver.crt"), "utf8");
  }

  /** The administrator's bearer token. */
  get token(): string {
    return ADMIN;
  }

  /**
   * Content of a kubeconfig with this token; a server other than the API's own (a proxy, plain HTTP) has no
   * certificate.
   */
  kubeconfigOf(token: string, server = this.server): string {
    const trust =
      server === this.server ? { "certificate-authority-data": Buffer.from(this.ca).toString("base64") } : {};
    return JSON.stringify({
      ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
      clusters: [{ name: "test", cluster: { server, ...trust } }],
      users: [{ name: "test", user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    });
  }

  startEtcd(): void {
    const { etcd, peer } = this.#ports;
    const client = `http://127.0.0.1:${etcd}`;
    const args = [
      `--data-dir=${join(this.folder, "etcd")}`,
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      ...["--unsafe-no-fsync", "--log-level=warn"],
    ];
    this.#etcd = new Daemon(this.#programs.etcd, args, join(this.folder, "etcd.log"));
  }

  /** Starts the API server on its previous port, and waits until it is ready. */
  async startApi(): Promise<void> {
    const at = (name: string): string => join(this.folder, name);
    const args = [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      ...[`--secure-port=${this.#ports.api}`, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"],
      ...[`--cert-dir=${at("certs")}`, `--token-auth-file=${at("tokens.csv")}`, "--authorization-mode=RBAC"],
      ...["--allow-privileged=true", "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112"],
      ...["--service-account-issuer=https://kubernetes.default.svc", `--service-account-key-file=${at("sa.key")}`],
      `--service-account-signing-key-file=${at("sa.key")}`,
      // Only `compact` removes the history that a watch can resume from.
      "--etcd-compaction-interval=0",
    ];
    const daemon = new Daemon(this.#programs.apiServer, args, at("kube-apiserver.log"));
    this.#api = daemon;
    const end = performance.now() + READY;
    while (!(await this.#ready())) {
      if (!daemon.running) throw new Error(`start kube-apiserver: it has ended:\n${daemon.lastWords()}`);
      if (performance.now() > end) throw new Error(`start kube-apiserver: not ready:\n${daemon.lastWords()}`);
      await sleep(100);
    }
  }

  /** Kills the API server; connections are reset. (It may hang on SIGTERM.) */
  async stopApi(): Promise<void> {
    await this.#api?.end();
  }

  /** SIGSTOP keeps connections open without answers until SIGCONT. */
  signalApi(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#api?.signal(signal);
  }

  /** Removes the history: a restarted API server then answers 410 to watches of any older version. */
  async compact(): Promise<void> {
    const { header } = (await this.#etcdCall("range", { key: "AA==" })) as { header: { revision: string } };
    await this.#etcdCall("compaction", { revision: header.revision, physical: true });
  }

  /** Runs kubectl as the administrator, or with another `kubeconfig`. */
  kubectl(args: readonly string[], options: { input?: string; kubeconfig?: string } = {}): Promise<Kubectl> {
    const argv = ["--kubeconfig", options.kubeconfig ?? this.kubeconfig, ...args];
    const env = { PATH: process.env["PATH"], HOME: this.folder };
    return new Promise((resolve) => {
      const child = execFile(this.#programs.kubectl, argv, { env, timeout: 180_000 }, (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, out, err: code !== 0 && err === "" ? (error?.message ?? "") : err });
      });
      child.stdin?.end(options.input ?? "");
    });
  }

  /** Runs kubectl, and throws with its stderr if it fails. Resolves to its output. */
  async must(args: readonly string[], options: { input?: string } = {}): Promise<string> {
    const { code, out, err } = await this.kubectl(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${err}`);
    return out;
  }

  /** Applies objects, then waits until the CRDs among them are served. */
  async apply(...objects: readonly object[]): Promise<void> {
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
    await this.must(["apply", "--server-side", "-f", "-"], { input });
  }

  /** Installs Weir's custom resources. */
  async installDefinitions(): Promise<void> {
    await this.must(["apply", "-f", join(import.meta.dirname, "../../deploy/crds")]);
    await this.must(["wait", "--for=condition=Established", "crd/limits.weir.dev", "crd/impairments.weir.dev"]);
  }

  /** Creates a namespace in which pods can be created: no controller creates its service account. */
  async namespace(name: string): Promise<void> {
    if (name !== "default") await this.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await this.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: name } });
  }

  /** Ends both and removes their folder. */
  async close(): Promise<void> {
    await this.#api?.end();
    await this.#etcd?.end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #prepare(): void {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    writeFileSync(join(this.folder, "sa.key"), privateKey.export({ type: "pkcs1", format: "pem" }), { mode: 0o600 });
    writeFileSync(join(this.folder, "tokens.csv"), `${ADMIN},admin,u1,"system:masters"\n`, { mode: 0o600 });
  }

  #ready(): Promise<boolean> {
    if (!existsSync(join(this.folder, "certs", "apiserver.crt"))) return Promise.resolve(false);
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${ADMIN}` };
      const options = { headers, agent: false as const, timeout: 2000, ca: this.ca };
      const request = get(`${this.server}/readyz`, options, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      });
      request.on("timeout", () => request.destroy(new Error("silent")));
      request.on("error", () => resolve(false));
    });
  }

  /** A call of etcd's API, as JSON. */
  async #etcdCall(method: string, body: object): Promise<unknown> {
    const url = `http://127.0.0.1:${this.#ports.etcd}/v3/kv/${method}`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${method}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

/** Free ports. All are held open at once, so that no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((one) => new Promise<void>((done) => one.listen(0, "127.0.0.1", done))));
  const ports = servers.map((one) => (one.address() as { port: number }).port);
  await Promise.all(servers.map((one) => new Promise((done) => one.close(done))));
  return ports;
}
