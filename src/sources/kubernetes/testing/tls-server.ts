import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

/** PEM texts. */
export interface Certificate {
  cert: string;
  key: string;
}

/** A self-signed certificate for 127.0.0.1. */
export function makeCertificate(name: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "weir-tls-"));
  try {
    const files = ["-keyout", join(folder, "key"), "-out", join(folder, "cert")];
    const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"];
    const kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", [...kind, ...files, ...subject], { stdio: "ignore" });
    return { key: readFileSync(join(folder, "key"), "utf8"), cert: readFileSync(join(folder, "cert"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface TlsServer {
  url: string;
  /** The name in the client certificate and the token of each request. */
  seen: { name: string; token: string | undefined; path: string }[];
  /** Presents another certificate on new connections. */
  show(certificate: Certificate): void;
  /** Ends all watches, and refuses requests with this status; undefined: stops refusing. */
  refuse(status: number | undefined): void;
  /** Ends all watches; clients reconnect. */
  endWatches(): void;
  close(): Promise<void>;
}

const json = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

/** An API server with TLS and empty collections. Only accepts clients with a certificate in `clients`. */
export async function tlsServer({ clients, ...own }: Certificate & { clients: readonly string[] }): Promise<TlsServer> {
  const seen: TlsServer["seen"] = [];
  const watches = new Set<ServerResponse>();
  let refusal: number | undefined;
  const options = { ca: [...clients], requestCert: true, rejectUnauthorized: true };
  const server = createServer({ ...own, ...options }, (request, response) => {
    const name = String((request.socket as TLSSocket).getPeerCertificate().subject?.CN);
    const token = request.headers.authorization?.replace(/^Bearer /, "");
    const url = new URL(request.url ?? "/", "https://x");
    seen.push({ name, token, path: url.pathname });
    if (refusal !== undefined)
      return json(response, refusal, { kind: "Status", code: refusal, reason: "Unauthorized" });
    if (!url.searchParams.has("watch")) return json(response, 200, { metadata: { resourceVersion: "1" }, items: [] });
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    watches.add(response);
    response.on("close", () => watches.delete(response));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const endWatches = (): void => {
    for (const one of watches) one.end();
  };
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    show: (certificate) => server.setSecureContext({ ...certificate, ca: options.ca }),
    refuse(status) {
      refusal = status;
      if (status !== undefined) endWatches();
    },
    endWatches,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
