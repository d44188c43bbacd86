import { expect, test } from "vitest";
import { compose } from "./compose.ts";
import type { Port } from "./desired.ts";
import { delayLinks } from "./panel.ts";

const port = (name: string): Port => ({ instance: "router", name, peer: { kind: "none" }, ingress: [], egress: [] });

test("chains follow the declared order, then the name, whatever the order of contributions", () => {
  const at = (instance: string, order: number) => ({
    port: "router:a",
    direction: "ingress" as const,
    instance,
    order,
  });
  const one = { ports: [port("b"), port("a")], attach: [at("limit:z", 100)] };
  const two = { attach: [at("impair:q", 200), at("limit:a", 100), at("first", 1)] };
  const expected = ["first", "limit:a", "limit:z", "impair:q"];
  for (const contributions of [
    [one, two],
    [two, one],
  ]) {
    const { ports } = compose(contributions);
    expect(ports.map((p) => p.name)).toEqual(["a", "b"]);
    expect(ports[0]?.ingress).toEqual(expected);
    expect(ports[0]?.egress).toEqual([]);
    expect(ports[1]?.ingress).toEqual([]);
  }
});

test("every node has the panel's three pairs", () => {
  const { links, resume } = compose([]);
  expect(links.map((link) => link.device)).toEqual(["weir_recirc0", "weir_split0", "weir_shape0"]);
  expect(resume).toEqual(["weir_recirc1", "weir_split1", "weir_shape1"]);
});

test("packets come back from the delaying pair where there is one", () => {
  expect(compose([{ links: delayLinks() }]).resume).toContain("weir_delay1");
});
