import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { parseArgs } from "node:util";

interface Spec {
  uid: string;
  netns: string;
  ifname: string;
}
interface Manifest {
  kind: string;
  metadata: { namespace: string; name: string; resourceVersion: string; annotations: Record<string, string> };
  spec: { nodeName?: string };
}

/**
 * An agent without a datapath, for tests of the lab alone: a veth and an address for each pod, and routes of the
 * kernel.
 */
export function fakeAgent(argv: readonly string[]): void {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      node: { type: "string", default: "" },
      socket: { type: "string", default: "" },
      manifests: { type: "string", default: "" },
      state: { type: "string" },
      bpffs: { type: "string" },
      config: { type: "string" },
      keep: { type: "boolean" },
    },
  });
  const { node, socket, manifests } = values;
  const index = Number(node.split("-").at(-1));
  const endpoints = new Map<string, { device: string; ips: string[] }>();
  let next = 2;

  const put = (key: string, spec: Spec): object => {
    const known = endpoints.get(key);
    if (known !== undefined) return known;
    const device = `weir${createHash("sha256").update(key).digest("hex").slice(0, 11)}`;
    const ips = [`10.244.${index}.${next}`, `fd00:10:244:${index}::${next++}`];
    ip("link", "add", device, "type", "veth", "peer", "name", spec.ifname, "netns", spec.netns);
    ip("link", "set", device, "up");
    ip("route", "replace", `${ips[0]}/32`, "dev", device);
    const pod = ["-n", spec.netns.slice("/run/netns/".length)];
    ip(...pod, "addr", "add", `${ips[0]}/32`, "dev", spec.ifname);
    ip(...pod, "-6", "addr", "add", `${ips[1]}/128`, "dev", spec.ifname, "nodad");
    ip(...pod, "link", "set", spec.ifname, "up");
    endpoints.set(key, { device, ips });
    return { device, ips };
  };

  const pods = (): object[] =>
    readdirSync(manifests)
      .filter((file) => file.startsWith("pod-"))
      .map((file) => JSON.parse(readFileSync(`${manifests}/${file}`, "utf8")) as Manifest)
      .filter((pod) => pod.spec.nodeName === node)
      .map(({ metadata }) => ({
        namespace: metadata.namespace,
        name: metadata.name,
        resourceVersion: metadata.resourceVersion,
        problems: metadata.annotations["test/bad"] === undefined ? [] : [{ message: "test/bad is bad" }],
      }));

  const route = async (method: string, path: string, request: IncomingMessage): Promise<unknown> => {
    const [, , kind, namespace, name] = path.replace(/\?.*/, "").split("/");
    if (kind === "status") return { node, state: "ready" };
    if (kind === "pods") return { items: pods() };
    if (kind === "objects") return { items: [] };
    if (method === "DELETE") return void endpoints.delete(`${namespace}/${name}`);
    const { netns, ifname, uid } = JSON.parse(await text(request)) as Spec;
    return put(`${namespace}/${name}`, { netns, ifname, uid });
  };
  rmSync(socket, { force: true });
  createServer((request, response) => {
    route(request.method ?? "", request.url ?? "", request).then(
      (value) => response.end(value === undefined ? "" : JSON.stringify(value)),
      (error) => response.writeHead(500).end(JSON.stringify({ error: { code: "fake", message: String(error) } })),
    );
  }).listen(socket);
  process.once("SIGTERM", () => process.exit(0));
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
