/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A function with state, in builds with different layouts: STATE_BUILD is 1, 2 or 3. */
#include "panel.h"

#if STATE_BUILD == 1
struct state_key {
	__u32 instance;
	__u16 zone;
	__u16 reserved;
};
struct state_pair {
	__u16 low;
	__u16 high;
};
/* as large as in build 2, with the fields reordered */
struct state_row {
	__u64 packets;
	__u32 first;
	__u32 second;
	struct state_pair pairs[2];
	char name[8];
	__u64 gone;
};
struct state_count {
	__u64 packets;
	__u64 bytes;
};
#define STATE_ROWS 64
#else
struct state_key {
	__u16 zone;
	__u16 reserved;
	__u32 instance;
};
struct state_pair {
	__u16 high;
	__u16 low;
};
struct state_row {
	__u32 second;
	__u32 first;
	__u64 packets;
	struct state_pair pairs[2];
	char name[16];
};
struct state_count {
	__u64 bytes;
	__u64 packets;
#if STATE_BUILD == 3
	__u64 more;
#endif
};
#define STATE_ROWS 2
#endif

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct state_key);
	__type(value, struct state_row);
	__uint(max_entries, 64);
} weir_state_rows SEC(".maps");

/* smaller in later builds */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, STATE_ROWS);
} weir_state_few SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32);
	__type(value, struct state_count);
	__uint(max_entries, 64);
} weir_state_counts SEC(".maps");

/* equal in all builds */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 64);
} weir_state_same SEC(".maps");

SEC("tc")
int weir_state(struct __sk_buff *skb)
{
	struct state_key key = {};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(&weir_state_rows, &key) || bpf_map_lookup_elem(&weir_state_few, &zero) ||
	    bpf_map_lookup_elem(&weir_state_counts, &zero) || bpf_map_lookup_elem(&weir_state_same, &zero))
		return weir_stack(skb);
	return weir_next(skb);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
