import { readFileSync } from "node:fs";
import koffi, { type TypeObject } from "koffi";
import { expect, test } from "vitest";
import { Btf } from "./btf.ts";
import { LinkInfoStruct, MapInfoStruct, ProgramInfoStruct } from "./info.ts";
import { skb } from "./skb.ts";

/** BTF of the running kernel, with which the structs and offsets in this folder must agree. */
const btf = Btf.parse(readFileSync("/sys/kernel/btf/vmlinux"));

/** Byte offset of a member, also inside anonymous unions and structs. */
function offset(type: string | number, member: string): number | undefined {
  const struct = typeof type === "string" ? btf.find(type) : btf.resolve(type);
  for (const { name, type: inner, offset: bits } of struct?.members ?? []) {
    if (name === member) return bits / 8;
    if (name !== "") continue;
    const nested = offset(inner, member);
    if (nested !== undefined) return bits / 8 + nested;
  }
  return undefined;
}

const SKB = ["mark", "priority", "ingress_ifindex", "ifindex", "cb", "tstamp", "wire_len", "gso_segs", "gso_size"];
const BTF = ["btf_id", "btf_key_type_id", "btf_value_type_id"];
const cases: [string, TypeObject, string[]][] = [
  ["__sk_buff", skb(), SKB],
  ["bpf_map_info", MapInfoStruct, ["type", "id", "key_size", "value_size", "max_entries", "map_flags", "name", ...BTF]],
  ["bpf_prog_info", ProgramInfoStruct, ["type", "id", "name"]],
  ["bpf_link_info", LinkInfoStruct, ["type", "id", "prog_id"]],
];
test.each(cases)("struct %s has the kernel's layout", (name, struct, members) => {
  for (const member of members) {
    expect({ member, at: koffi.offsetof(struct, member) }).toEqual({ member, at: offset(name, member) });
  }
});

test.each([
  ["tcmsg", 20, { tcm_ifindex: 4, tcm_handle: 8, tcm_parent: 12 }],
  ["ifinfomsg", 16, { ifi_index: 4, ifi_flags: 8, ifi_change: 12 }],
  ["ifaddrmsg", 8, { ifa_prefixlen: 1, ifa_flags: 2, ifa_scope: 3, ifa_index: 4 }],
  ["rtmsg", 12, { rtm_dst_len: 1, rtm_table: 4, rtm_protocol: 5, rtm_scope: 6, rtm_type: 7, rtm_flags: 8 }],
  ["ndmsg", 12, { ndm_ifindex: 4, ndm_state: 8 }],
  ["tc_htb_opt", 44, { ceil: 12, buffer: 24, cbuffer: 28, quantum: 32, prio: 40 }],
  ["tc_htb_glob", 20, { rate2quantum: 4, defcls: 8 }],
  ["tc_ratespec", 12, { linklayer: 1, rate: 8 }],
  [
    "rtnl_link_stats64",
    undefined,
    { rx_packets: 0, tx_packets: 8, rx_bytes: 16, tx_bytes: 24, rx_dropped: 48, tx_dropped: 56 },
  ],
  ["ethtool_sset_info", undefined, { sset_mask: 8, data: 16 }],
  ["ethtool_get_features_block", 16, { available: 0, requested: 4, active: 8, never_changed: 12 }],
  ["ethtool_set_features_block", 8, { valid: 0, requested: 4 }],
])("struct %s has the offsets that netlink messages use", (name, size, members) => {
  if (size !== undefined) expect(btf.find(name)?.size).toBe(size);
  const actual = Object.fromEntries(Object.keys(members).map((member) => [member, offset(name, member)]));
  expect(actual).toEqual(members);
});
