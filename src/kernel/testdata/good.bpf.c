/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum test_reason { TEST_NONE = 0, TEST_SHORT = 3, TEST_LONG = 70000 };

struct test_inner {
	__u16 port;
	__s16 delta;
};
struct test_value {
	__u64 packets;
	char name[8];
	__u8 mac[6];
	__u16 reserved;
	struct test_inner inner[2];
	__s64 balance;
	enum test_reason reason;
	union {
		__u32 v4;
		__u8 raw[4];
	};
};
struct test_event {
	__u32 len;
	__u32 mark;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct test_value);
	__uint(max_entries, 16384);
} test_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} test_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 64);
} test_percpu SEC(".maps");

struct test_prefix {
	__u32 length;
	__u8 address[4];
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct test_prefix);
	__type(value, __u32);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} test_lpm SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 4);
} test_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} test_events SEC(".maps");

const volatile __u32 test_verdict = 1;
const volatile __u64 test_wide = 2;

/* Counts a packet, sends an event, marks the packet, and returns the configured value. */
SEC("tc")
int test_main(struct __sk_buff *skb)
{
	__u32 key = 1, mark = skb->mark;
	struct test_value *row = bpf_map_lookup_elem(&test_rows, &key);

	if (row)
		__sync_fetch_and_add(&row->packets, 1);
	struct test_event *event = bpf_ringbuf_reserve(&test_events, sizeof(*event), 0);

	if (event) {
		event->len = skb->len;
		event->mark = mark;
		bpf_ringbuf_submit(event, 0);
	}
	skb->mark = mark + (__u32)test_wide;
	skb->cb[1] = 77;
	return test_verdict;
}

SEC("tc")
int test_caller(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &test_calls, 2);
	return 9;
}

char _license[] SEC("license") = "Dual BSD/GPL";
