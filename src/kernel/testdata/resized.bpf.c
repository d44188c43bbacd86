/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* A map with the name of one in good.bpf.c, and another size. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 9);
} test_array SEC(".maps");

SEC("tc")
int test_resized(struct __sk_buff *skb)
{
	__u32 key = skb->len ? 0 : 1;
	__u64 *value = bpf_map_lookup_elem(&test_array, &key);

	return value ? (int)*value : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
