/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Drops each Nth packet: ebpf-limit: "drop-one-of egress -DN=100" */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

/* Each rule has maps of its own: this counts one pod's packets in one direction. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} seen SEC(".maps");

SEC("tc")
int drop_one_of(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&seen, &zero);

	if (!count)
		return TC_ACT_OK;
	return (__sync_fetch_and_add(count, 1) + 1) % N ? TC_ACT_OK : TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
