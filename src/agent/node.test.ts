import { expect, test } from "vitest";
import { addressesNow } from "./node.ts";

const held = ["192.0.2.1", "192.0.2.7", "fd00::1", "10.9.9.9"];
const uplink = ["192.0.2.1", "192.0.2.7", "fd00::1"];

test.each([
  ["none named: the uplink's first of each family", [], held, uplink, ["192.0.2.1", "fd00::1"]],
  ["what the Node object names, if a device has it", ["10.9.9.9"], held, uplink, ["10.9.9.9"]],
  ["IPv4 comes first", ["fd00::1", "192.0.2.7"], held, uplink, ["192.0.2.7", "fd00::1"]],
  ["one that no device has comes after the uplink's", ["192.0.2.99"], held, uplink, ["192.0.2.1", "192.0.2.99"]],
  ["no family that is not named", ["fd00::99"], held, uplink, ["fd00::1", "fd00::99"]],
  ["nothing in its place", ["192.0.2.99"], [], [], ["192.0.2.99"]],
])("the node's addresses: %s", (_name, named, all, own, expected) => {
  expect(addressesNow(named, all, own)).toEqual(expected);
});
