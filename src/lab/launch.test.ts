import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { ResolvedContainer } from "../model/environment.ts";
import type { Container, Pod } from "../model/objects.ts";
import { hostsFile } from "./container-spec.ts";
import { Images } from "./images.ts";
import { commandProblems, hostnameOf, launchOf } from "./launch.ts";

const scratch = mkdtempSync(join(tmpdir(), "weir-launch-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const images = new Images(`${scratch}/images`, { "app:1": scratch }, "/");
const pod = (container: Partial<Container>): [Pod, Container] => {
  const one = { name: "c", command: [], args: [], env: [], ...container };
  const metadata = { name: "p", namespace: "shop", labels: {}, annotations: {} };
  return [{ kind: "Pod", metadata, hostNetwork: false, containers: [one], restartPolicy: "Always" }, one];
};

const resolved = ({ command, args }: Container, env: ResolvedContainer["env"] = []): ResolvedContainer => ({
  command,
  args,
  env,
  problems: [],
});

describe("launchOf", () => {
  it("combines command and args, and sets the variables", () => {
    const [owner, container] = pod({ command: ["a"], args: ["b c"], workingDir: "/srv" });
    const env = [
      { name: "PATH", value: "/x" },
      { name: "FOO", value: "1" },
      { name: "A=B", value: "1" },
    ];
    const launch = launchOf(owner, container, images, resolved(container, env));
    expect(launch).toMatchObject({ argv: ["a", "b c"], workingDir: "/srv", image: undefined });
    expect(launch.env).toEqual({ PATH: "/x", HOSTNAME: "p", HOME: "/root", FOO: "1" });
  });
  it("runs a command in a mapped directory", () => {
    const [owner, container] = pod({ image: "app:1", command: ["a"] });
    expect(launchOf(owner, container, images, resolved(container)).image?.lower).toBe(scratch);
  });
  it.each([
    [{}, /no command and it has no image/],
    [{ image: "nginx" }, /image "nginx" is unknown.*--image nginx=PATH/],
    [{ image: "nginx", args: ["x"] }, /unknown/],
    [{ image: "app:1" }, /neither it nor its image names a command/],
    [{ image: "/no/such.tar" }, /no such file/],
    [{ image: "__proto__" }, /unknown/],
  ])("refuses %j", (container, reason) => {
    const [owner, one] = pod(container);
    expect(() => launchOf(owner, one, images, resolved(one))).toThrow(reason);
  });
  it("refuses a container whose ConfigMap is missing", () => {
    const [owner, one] = pod({ command: ["a"] });
    const problems = [{ object: "Pod/shop/p", message: "there is no ConfigMap shop/x" }];
    expect(() => launchOf(owner, one, images, { ...resolved(one), problems })).toThrow("no ConfigMap shop/x");
  });
});

describe("commandProblems", () => {
  it("finds containers that can never start, before anything is created", () => {
    const pods = [pod({}), pod({ command: ["a"] }), pod({ image: "app:1" })].map(([owner]) => owner);
    expect(commandProblems(pods, images).map((one) => one.object)).toEqual(["Pod/shop/p"]);
  });
});

describe("a pod's name", () => {
  const named = (name: string, rest: Partial<Pod> = {}): Pod => {
    const [owner] = pod({});
    return { ...owner, ...rest, metadata: { ...owner.metadata, name } };
  };
  it.each([
    [named("web"), "web"],
    [named("web", { hostname: "db" }), "db"],
    [named(`${"a".repeat(62)}.b`), "a".repeat(62)],
  ])("is its host name, cut to the allowed length", (one, expected) => expect(hostnameOf(one)).toBe(expected));

  it("is listed with its addresses, before its aliases", () => {
    const hostAliases = [{ ip: "10.0.0.9", hostnames: ["a", "b.c"] }];
    const lines = hostsFile(named("web", { subdomain: "s", hostAliases }), ["10.0.0.1", "fd00::1"]).split("\n");
    expect(lines.slice(2)).toEqual([
      "10.0.0.1 web.s.shop.svc.cluster.local web",
      "fd00::1 web.s.shop.svc.cluster.local web",
      "10.0.0.9 a b.c",
      "",
    ]);
  });
});
