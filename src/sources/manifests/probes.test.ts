import { describe, expect, it } from "vitest";
import type { Pod } from "../../model/objects.ts";
import { parseManifests } from "./parse.ts";

const read = (spec: object, container: object = {}) => {
  const containers = [{ name: "c", ...container }];
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: { containers, ...spec } };
  const { objects, problems } = parseManifests(JSON.stringify(pod), "f.json");
  return {
    pod: objects[0]?.object as Pod | undefined,
    said: problems.map(({ path, message }) => `${path}: ${message}`),
  };
};

describe("probes", () => {
  it("have Kubernetes' defaults", () => {
    const { pod, said } = read(
      {},
      { livenessProbe: { httpGet: { port: 80 } }, startupProbe: { exec: { command: ["x"] } } },
    );
    expect(said).toEqual([]);
    const times = {
      initialDelaySeconds: 0,
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    };
    expect(pod?.containers[0]).toMatchObject({
      livenessProbe: { ...times, httpGet: { path: "/", port: 80, scheme: "HTTP", httpHeaders: [] } },
      startupProbe: { ...times, exec: { command: ["x"] } },
    });
  });

  it.each<[string, object, string]>([
    ["no way", {}, "needs one of exec, httpGet, tcpSocket, grpc"],
    ["two ways", { exec: { command: ["x"] }, tcpSocket: { port: 1 } }, "needs one of"],
    ["port 0", { tcpSocket: { port: 0 } }, "must be a port from 1 to 65535"],
    ["a port of no name", { tcpSocket: { port: "80" } }, "must be a port from 1 to 65535"],
    [
      "a path that ends the request",
      { httpGet: { port: 1, path: "/ HTTP/1.1\r\nX: y" } },
      "must not contain white space",
    ],
    [
      "a header that is two",
      { httpGet: { port: 1, httpHeaders: [{ name: "a", value: "b\r\nc" }] } },
      "printable ASCII",
    ],
    ["a negative timeout", { tcpSocket: { port: 1 }, timeoutSeconds: -1 }, "must be a whole number"],
    ["an endless timeout", { tcpSocket: { port: 1 }, timeoutSeconds: 1e300 }, "must be a whole number"],
    [
      "two successes of liveness",
      { tcpSocket: { port: 1 }, successThreshold: 2 },
      "must be a whole number from 0 to 1",
    ],
    ["no command", { exec: { command: [] } }, "must have a command"],
  ])("with %s are refused", (_, livenessProbe, reason) => {
    const { pod, said } = read({}, { livenessProbe });
    expect(pod).toBeUndefined();
    expect(said.join()).toContain(reason);
  });
});

describe("fields that the lab ignores", () => {
  it.each<[string, object, object, string[]]>([
    [
      "users",
      { securityContext: { runAsUser: 1 } },
      {},
      ["spec.securityContext.runAsUser: is not acted on: containers run as root"],
    ],
    [
      "capabilities",
      {},
      { securityContext: { privileged: true } },
      ["spec.containers[0].securityContext: is not acted on"],
    ],
    [
      "host ports",
      {},
      { ports: [{ containerPort: 1, hostPort: 1 }] },
      ["spec.containers[0].ports[0].hostPort: is not opened"],
    ],
    ["resources", {}, { resources: { limits: { cpu: 1 } } }, ["spec.containers[0].resources: "]],
    [
      "hooks",
      {},
      { lifecycle: { preStop: { exec: { command: ["x"] } } } },
      ["spec.containers[0].lifecycle: hooks are not run"],
    ],
    [
      "gRPC probes",
      {},
      { readinessProbe: { grpc: { port: 1 } } },
      ["spec.containers[0].readinessProbe.grpc: is not made"],
    ],
    [
      "sysctls that are not the pod's own",
      {
        securityContext: {
          sysctls: [
            { name: "net/ipv4/tcp_syncookies", value: "0" },
            { name: "kernel.msgmax", value: "1" },
          ],
        },
      },
      {},
      ["spec.securityContext.sysctls[1]: is not set"],
    ],
    [
      "sysctls of the node",
      { hostNetwork: true, securityContext: { sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "0" }] } },
      {},
      ["spec.securityContext.sysctls[0]: is not set"],
    ],
    ["what the API fills in", { securityContext: {}, hostPID: false }, { resources: {}, securityContext: {} }, []],
  ])("are reported: %s", (_, spec, container, expected) => {
    const { pod, said } = read(spec, container);
    expect(pod).toBeDefined();
    expect(said).toEqual(expected.map((text) => expect.stringContaining(text)));
  });

  it("are reported once, for the first container that has them", () => {
    const containers = [
      { name: "a" },
      { name: "b", resources: { limits: { cpu: 1 } } },
      { name: "c", resources: { limits: { cpu: 1 } } },
    ];
    expect(read({ containers }).said).toEqual([expect.stringContaining("spec.containers[1].resources")]);
  });

  it("do not include those that it acts on", () => {
    const spec = {
      ...{ terminationGracePeriodSeconds: 5, activeDeadlineSeconds: 6, hostname: "h", subdomain: "s" },
      hostAliases: [{ ip: "10.0.0.1", hostnames: ["a"] }],
      initContainers: [{ name: "i", restartPolicy: "Always" }],
      securityContext: { sysctls: [{ name: "net/ipv4/tcp_syncookies", value: "0" }] },
    };
    const { pod, said } = read(spec);
    expect(said).toEqual([]);
    const { securityContext: _, ...same } = spec;
    expect(pod).toMatchObject({ ...same, sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "0" }] });
  });

  it.each<[object, string]>([
    [{ hostAliases: [{ ip: "10.0.0.1\n1.1.1.1 x", hostnames: [] }] }, "must be an IP address"],
    [{ hostAliases: [{ ip: "10.0.0.1", hostnames: ["a b"] }] }, "hostnames[0]"],
    [{ hostname: "a.b" }, "spec.hostname"],
    [{ initContainers: [{ name: "c" }] }, "two containers have one name"],
    [{ initContainers: [{ name: "i", volumeMounts: [{ name: "v", mountPath: "/v" }] }] }, "there is no volume v"],
    [{ activeDeadlineSeconds: 0 }, "spec.activeDeadlineSeconds"],
    [{ terminationGracePeriodSeconds: -1 }, "spec.terminationGracePeriodSeconds"],
  ])("%j is refused", (spec, reason) => {
    const { pod, said } = read(spec);
    expect(pod).toBeUndefined();
    expect(said.join()).toContain(reason);
  });
});
