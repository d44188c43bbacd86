import { Agent as HttpAgent, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { isDeepStrictEqual } from "node:util";
import type { KubernetesConfig } from "./config.ts";

const KEEP = { keepAlive: true, keepAliveMsecs: 15_000 };

/** Kept connections to a server, with one set of certificates. */
export class Connections {
  readonly config: KubernetesConfig;
  readonly agent: HttpAgent;
  readonly send: typeof requestHttps;

  constructor(config: KubernetesConfig) {
    this.config = config;
    const secure = config.server.startsWith("https:");
    const { ca, cert, key, serverName, insecure } = config.tls;
    const tls = { ca, cert, key, rejectUnauthorized: !insecure, ...(serverName && { servername: serverName }) };
    this.agent = secure ? new HttpsAgent({ ...KEEP, ...tls }) : new HttpAgent(KEEP);
    this.send = secure ? requestHttps : requestHttp;
  }

  /** Whether they can be used for this configuration too. The token is sent with each request and does not matter. */
  serves({ server, tls }: KubernetesConfig): boolean {
    return server === this.config.server && isDeepStrictEqual(tls, this.config.tls);
  }

  /** Replaces these connections: requests in progress are completed, unless the server is another one. */
  retire(server: string): void {
    if (server !== this.config.server) {
      this.close();
      return;
    }
    this.agent.maxFreeSockets = 0;
    for (const sockets of Object.values(this.agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }

  close(): void {
    this.agent.destroy();
  }
}
