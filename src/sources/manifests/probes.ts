import * as z from "zod";
import type { Probe } from "../../model/objects.ts";
import { listOf, maybe, plainText, whole } from "./fields.ts";

/** Maximum of Kubernetes' int32. */
const MOST = 2 ** 31 - 1;
const PORT = "must be a port from 1 to 65535, or the name of one";
const portName = /^(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/;
const port = z.union([z.number(), z.string()], PORT).refine(isPort, PORT);

function isPort(value: number | string): boolean {
  return typeof value === "string" ? portName.test(value) : Number.isInteger(value) && value > 0 && value < 65_536;
}

const seconds = (least: number) => maybe(whole(least, MOST));
const host = maybe(plainText.regex(/^[A-Za-z0-9.:_-]*$/, "must be an address or a host name"));

const httpGet = z
  .object({
    path: maybe(plainText.regex(/^[^\s]*$/, "must not contain white space")),
    port,
    host,
    scheme: maybe(z.enum(["HTTP", "HTTPS"])),
    httpHeaders: listOf(
      z.object({
        name: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "is not the name of a header"),
        value: z.string().regex(/^[\t\x20-\x7e]*$/, "must be printable ASCII"),
      }),
    ),
  })
  .transform(({ path, host: of, scheme, ...rest }) => ({
    ...rest,
    path: path?.startsWith("/") ? path : `/${path ?? ""}`,
    scheme: scheme ?? ("HTTP" as const),
    ...(of && { host: of }),
  }));

const tcpSocket = z
  .object({ port, host })
  .transform(({ port: to, host: of }) => ({ port: to, ...(of && { host: of }) }));

/** @param settles only one success is possible, as for probes whose failure ends the container */
const probe = (settles: boolean) =>
  z
    .object({
      exec: maybe(z.object({ command: z.array(plainText).min(1, "must have a command") })),
      httpGet: maybe(httpGet),
      tcpSocket: maybe(tcpSocket),
      grpc: maybe(z.looseObject({})),
      initialDelaySeconds: seconds(0),
      timeoutSeconds: seconds(0),
      periodSeconds: seconds(0),
      successThreshold: maybe(whole(0, settles ? 1 : MOST)),
      failureThreshold: seconds(0),
      terminationGracePeriodSeconds: seconds(1),
    })
    .transform((raw, context): Probe | undefined => {
      const { exec, httpGet: http, tcpSocket: tcp, grpc, terminationGracePeriodSeconds: grace } = raw;
      const ways = [exec, http, tcp, grpc].filter((one) => one !== undefined);
      if (ways.length !== 1)
        context.addIssue({ code: "custom", message: "needs one of exec, httpGet, tcpSocket, grpc" });
      if (grpc) return undefined; // reported with the field
      return {
        ...(exec && { exec }),
        ...(http && { httpGet: http }),
        ...(tcp && { tcpSocket: tcp }),
        initialDelaySeconds: raw.initialDelaySeconds ?? 0,
        // 0 counts as missing, for all of these
        timeoutSeconds: raw.timeoutSeconds || 1,
        periodSeconds: raw.periodSeconds || 10,
        successThreshold: raw.successThreshold || 1,
        failureThreshold: raw.failureThreshold || 3,
        ...(grace !== undefined && { terminationGracePeriodSeconds: grace }),
      };
    });

/** The probes of a container, by field name. */
export const probes = {
  startupProbe: maybe(probe(true)),
  livenessProbe: maybe(probe(true)),
  readinessProbe: maybe(probe(false)),
};
