import type { GoldenNode } from "./node.ts";

/** The state in the kernel that `ip` shows. */

interface Link {
  ifname: string;
  mtu: number;
  address?: string;
  flags: readonly string[];
  linkinfo?: { info_kind?: string };
}
interface Address {
  local: string;
  prefixlen: number;
  scope: string;
}
interface Route {
  dst: string;
  gateway?: string;
  dev?: string;
  prefsrc?: string;
  scope?: string;
}

/** Protocol number of Weir's routes. */
const PROTOCOL = "119";

/** Devices, addresses and routes of the node, and of the pods' ends. */
export function kernelText(world: GoldenNode, pods: readonly (readonly [namespace: string, name: string])[]): string {
  const places = [["node"], ...pods.map(([namespace, name]) => [`${namespace}-${name}`])].flat();
  return places.map((place) => `${place}\n${lines(world, place).join("\n")}\n`).join("\n");
}

function lines(world: GoldenNode, place: string): string[] {
  const read = <T>(...words: string[]): T[] => JSON.parse(world.lone.ip(place, "-j", ...words) || "[]") as T[];
  const isOwn = ({ ifname }: Link): boolean => place !== "node" || /^weir(_(?!delay)|[0-9a-f]{11}$)/.test(ifname);
  const links = read<Link>("-d", "link", "show")
    .filter((link) => isOwn(link) && link.ifname !== "lo")
    .toSorted((a, b) => (a.ifname < b.ifname ? -1 : 1));
  const routes = ["-4", "-6"].flatMap((family) => read<Route>(family, "route", "show", "proto", PROTOCOL));
  return [
    ...links.map(({ ifname, mtu, flags, linkinfo }) => {
      const state = flags.includes("UP") ? "up" : "down";
      return `  ${ifname} ${linkinfo?.info_kind} mtu ${mtu} ${state}${addresses(read("addr", "show", "dev", ifname))}`;
    }),
    ...routes.map(routeText).toSorted(),
  ];
}

function addresses([device]: { addr_info: readonly Address[] }[]): string {
  const own = device?.addr_info.filter(({ scope }) => scope === "global") ?? [];
  return own.map(({ local, prefixlen }) => ` ${local}/${prefixlen}`).join("");
}

function routeText({ dst, gateway, dev, prefsrc }: Route): string {
  return `  ${dst}${gateway ? ` via ${gateway}` : ""} dev ${dev}${prefsrc ? ` src ${prefsrc}` : ""}`;
}
