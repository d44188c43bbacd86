/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A foreign program, which taps must not affect: it counts the packets that it sees. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} others_seen SEC(".maps");

static __always_inline int count(__u32 direction)
{
	__u64 *seen = bpf_map_lookup_elem(&others_seen, &direction);

	if (seen)
		__sync_fetch_and_add(seen, 1);
	return TC_ACT_OK;
}

SEC("tc")
int others_in(struct __sk_buff *skb __attribute__((unused)))
{
	return count(0);
}

SEC("tc")
int others_out(struct __sk_buff *skb __attribute__((unused)))
{
	return count(1);
}

char others_license[] SEC("license") = "Dual BSD/GPL";
