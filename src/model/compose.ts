import type { Contribution, DesiredState, Port, Row } from "./desired.ts";
import { DELAY, panelLinks, RECIRC, SHAPE, SPLIT } from "./panel.ts";

type Attachment = NonNullable<Contribution["attach"]>[number];

/** Puts the functions' contributions together into one document, sorted. Pure. */
export function compose(contributions: readonly Contribution[]): DesiredState {
  const attachments = contributions.flatMap((contribution) => contribution.attach ?? []);
  const ports = contributions.flatMap((contribution) => contribution.ports ?? []);
  const links = sorted(contributions, "links", (link) => link.device);
  const delays = links.some((link) => link.device === DELAY.device);
  return {
    links: [...panelLinks(), ...links],
    resume: [RECIRC.other, SPLIT.other, SHAPE.other, ...(delays ? [DELAY.other] : [])],
    routes: sorted(contributions, "routes", (route) => route.cidr),
    instances: sorted(contributions, "instances", (instance) => instance.name),
    ports: withChains(ports, attachments),
    shapers: sorted(contributions, "shapers", (shaper) => shaper.owner),
    leases: contributions.flatMap((contribution) => contribution.leases ?? []),
    rows: ([] as Row[]).concat(...contributions.map((contribution) => contribution.rows ?? [])),
  };
}

/** Ports with what is attached to them, by full name. */
function withChains(ports: readonly Port[], attachments: readonly Attachment[]): Port[] {
  const chains = { ingress: new Map<string, Attachment[]>(), egress: new Map<string, Attachment[]>() };
  for (const attachment of attachments) {
    const { port, direction } = attachment;
    const chain = chains[direction].get(port);
    if (chain) chain.push(attachment);
    else chains[direction].set(port, [attachment]);
  }
  const chain = (name: string, direction: "ingress" | "egress"): string[] =>
    (chains[direction].get(name) ?? [])
      .toSorted((a, b) => a.order - b.order || compare(a.instance, b.instance))
      .map(({ instance }) => instance);
  return ports
    .map((port) => ({ name: fullName(port), port }))
    .toSorted((a, b) => compare(a.name, b.name))
    .map(({ name, port }) => ({
      ...port,
      ingress: [...port.ingress, ...chain(name, "ingress")],
      egress: [...port.egress, ...chain(name, "egress")],
    }));
}

function fullName(port: Port): string {
  return `${port.instance}:${port.name}`;
}

function sorted<K extends "links" | "routes" | "instances" | "shapers">(
  contributions: readonly Contribution[],
  field: K,
  name: (item: NonNullable<Contribution[K]>[number]) => string,
): NonNullable<Contribution[K]>[number][] {
  const items = contributions.flatMap(
    (contribution) => (contribution[field] ?? []) as NonNullable<Contribution[K]>[number][],
  );
  return items.toSorted((a, b) => compare(name(a), name(b)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
