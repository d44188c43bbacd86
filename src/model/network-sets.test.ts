import { excludeCidr, mergeCidr } from "cidr-tools";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unite } from "./network-sets.ts";

describe("networks are united", () => {
  test.each<readonly [string, Parameters<typeof unite>[0], string[]]>([
    ["none", [], []],
    ["halves", [{ cidr: "10.0.0.0/9" }, { cidr: "10.128.0.0/9" }], ["10.0.0.0/8"]],
    ["one within another", [{ cidr: "10.0.0.0/8" }, { cidr: "10.1.2.3/32" }], ["10.0.0.0/8"]],
    [
      "neighbours that are no network",
      [{ cidr: "10.0.0.1/32" }, { cidr: "10.0.0.2/32" }],
      ["10.0.0.1/32", "10.0.0.2/32"],
    ],
    ["both families", [{ cidr: "fd00::/64" }, { cidr: "0.0.0.0/0" }], ["0.0.0.0/0", "fd00::/64"]],
    ["every address", [{ cidr: "::/1" }, { cidr: "8000::/1" }], ["::/0"]],
    ["a part left out", [{ cidr: "10.0.0.0/30", except: ["10.0.0.0/31"] }], ["10.0.0.2/31"]],
    ["the last part left out", [{ cidr: "10.0.0.0/30", except: ["10.0.0.3/32"] }], ["10.0.0.0/31", "10.0.0.2/32"]],
    ["all left out", [{ cidr: "10.0.0.0/30", except: ["10.0.0.0/30"] }], []],
    ["parts left out that overlap", [{ cidr: "10.0.0.0/29", except: ["10.0.0.0/30", "10.0.0.2/32"] }], ["10.0.0.4/30"]],
    ["what another has", [{ cidr: "10.0.0.0/31", except: ["10.0.0.1/32"] }, { cidr: "10.0.0.1/32" }], ["10.0.0.0/31"]],
  ])("%s", (_, cuts, expected) => expect(unite(cuts)).toEqual(expected));
});

test("more networks than there may be give none", () => {
  const hosts = [1, 3, 5].map((host) => ({ cidr: `10.0.0.${host}/32` }));
  expect(unite(hosts, 3)).toHaveLength(3);
  expect(unite(hosts, 2)).toBeUndefined();
});

const network = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 })).map(([host, prefix]) => {
  return `10.0.0.${host & (256 - 2 ** (32 - prefix))}/${prefix}`;
});

test("the result is that of cidr-tools", () => {
  const cut = fc.record({ cidr: network, except: fc.array(network, { maxLength: 4 }) });
  fc.assert(
    fc.property(fc.array(cut, { maxLength: 6 }), (cuts) => {
      const expected = mergeCidr(cuts.flatMap(({ cidr, except }) => excludeCidr([cidr], except)));
      expect(unite(cuts)).toEqual(expected.toSorted());
    }),
  );
});

test("parts that many networks leave out, each another one of them, are not left out", () => {
  const part = (index: number) => `fd00:${index.toString(16)}::${index + 1}/128`;
  const cuts = Array.from({ length: 64 }, (_, peer) => ({
    cidr: "::/0",
    except: Array.from({ length: 64 }, (_, index) => part(peer + index)),
  }));
  expect(unite(cuts)).toHaveLength(128); // all of them leave out one address
  expect(unite(cuts.slice(0, 1))?.length).toBeGreaterThan(5000);
});
