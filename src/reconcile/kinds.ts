import {
  type Attachment,
  type Instance,
  type InstanceLease,
  type Link,
  type PortSpec,
  portName,
  type Route,
  type Row,
  type Shaper,
} from "../model/document.ts";
import { rowId } from "../model/row-id.ts";
import type { Kind } from "./contest.ts";

/** The kinds of items in a document, each with its unique id. */
export const KINDS = {
  instances: {
    name: "instances",
    itemsOf: ({ instances = [] }) => instances,
    idOf: ({ name }) => name,
  } as Kind<Instance>,
  ports: { name: "ports", itemsOf: ({ ports = [] }) => ports, idOf: portName } as Kind<PortSpec>,
  attach: {
    name: "attach",
    itemsOf: ({ attach = [] }) => attach,
    idOf: ({ port, direction, instance }) => `${port} ${direction} ${instance}`,
  } as Kind<Attachment>,
  links: { name: "links", itemsOf: ({ links = [] }) => links, idOf: ({ device }) => device } as Kind<Link>,
  routes: { name: "routes", itemsOf: ({ routes = [] }) => routes, idOf: ({ cidr }) => cidr } as Kind<Route>,
  shapers: {
    name: "shapers",
    itemsOf: ({ shapers = [] }) => shapers,
    idOf: ({ instance }) => instance,
  } as Kind<Shaper>,
  leases: {
    name: "leases",
    itemsOf: ({ leases = [] }) => leases,
    idOf: ({ instance }) => instance,
  } as Kind<InstanceLease>,
  rows: { name: "rows", itemsOf: ({ rows }) => rows?.() ?? [], idOf: rowId } as Kind<Row>,
} as const;
