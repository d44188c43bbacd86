/* SPDX-License-Identifier: GPL-2.0 */
/* Maps with few rows. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct small_id {
	__u32 id;
};

struct small_prefix {
	__u32 length;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct small_id);
	__type(value, __u64);
	__uint(max_entries, 4);
} weir_small_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct small_prefix);
	__type(value, __u64);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_small_trie SEC(".maps");

SEC("tc")
int small(struct __sk_buff *skb)
{
	struct small_prefix key = {};
	struct small_id id = {};

	(void)skb;
	return bpf_map_lookup_elem(&weir_small_hash, &id) || bpf_map_lookup_elem(&weir_small_trie, &key);
}

char small_license[] SEC("license") = "GPL";
