import type { GoldenNode } from "./node.ts";
import { impairment, limit } from "./objects.ts";

/** Calls of the REST API whose answers no list contains; most are refused. */

const spec = { uid: "uid-web", netns: "/proc/self/cwd/netns/shop-web" };
const CALLS: readonly [method: string, path: string, body?: unknown][] = [
  ["GET", "/v1/endpoints/shop/web"],
  ["GET", "/v1/endpoints/shop/none"],
  ["PUT", "/v1/endpoints/shop/web", spec],
  ["PUT", "/v1/endpoints/shop/web", { ...spec, uid: "another" }],
  ["PUT", "/v1/endpoints/shop/new", { ...spec, netns: "/etc/passwd" }],
  ["PUT", "/v1/endpoints/shop/new", { ...spec, netns: "/run/netns/weir-none" }],
  ["PUT", "/v1/endpoints/shop/new", { ...spec, ifname: "eth/0" }],
  ["PUT", "/v1/endpoints/shop/new", { netns: spec.netns }],
  ["PUT", "/v1/endpoints/Shop/new", spec],
  ["DELETE", "/v1/endpoints/shop/none"],
  ["DELETE", "/v1/endpoints/shop/web?uid=another"],
  ["DELETE", "/v1/endpoints/shop/web?colour=red"],
  ["PUT", "/v1/objects", { items: [limit("x", { pod: "web", egress: "1" })] }],
  ["PUT", "/v1/objects", { items: [impairment("x", { pod: "web" })] }],
  ["PUT", "/v1/objects", { items: [{ kind: "Pod" }] }],
  ["PUT", "/v1/objects", { items: "none" }],
  ["PUT", "/v1/objects?dryRun=true", { items: [limit("x", { pod: "web", egress: "1M" })] }],
  ["PUT", "/v1/objects?dryRun=maybe", { items: [] }],
  ["DELETE", "/v1/objects/Limit/shop/none"],
  ["DELETE", "/v1/objects/Node/none"],
  ["GET", "/v1/none"],
  ["POST", "/v1/pods", {}],
];

/** Each call, and the agent's answer. */
export async function callsText(world: GoldenNode): Promise<string> {
  const texts: string[] = [];
  for (const [method, path, body] of CALLS) {
    const { status, body: answer } = await world.call(method, path, body);
    texts.push(`${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}\n${status} ${answer}\n`);
  }
  await world.apply(); // Removes what a refused pod left.
  return texts.join("\n");
}
