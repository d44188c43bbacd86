/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The flow table: connection tracking and translations, one for all functions.
 * A flow has a row for each direction; each row holds the tuple that the other
 * direction's packets carry. Rows never make room for others (an LRU would evict
 * living connections) and expire here, in the datapath: a dead agent collects
 * nothing.
 */
#pragma once
#include "panel.h"

#define WEIR_FLOWS 131072

struct weir_tuple {
	__u32 zone; /* the instance whose flow this is; 0: all functions' */
	__u8 family; /* 4 or 6 */
	__u8 proto;
	__be16 src_port; /* ICMP echo: the identifier, in both */
	__be16 dst_port;
	__u16 reserved;
	__u8 src[16]; /* IPv4 in the first four bytes */
	__u8 dst[16];
};

enum weir_flow_state {
	WEIR_FLOW_NEW = 0, /* one direction seen */
	WEIR_FLOW_ESTABLISHED, /* both */
	WEIR_FLOW_CLOSING, /* FIN or RST seen */
};

struct weir_flow {
	struct weir_tuple reply; /* the key of the other row */
	__u64 expires; /* ktime, ns */
	__u64 packets;
	__u64 bytes;
	__u32 data; /* the owning function's */
	__u8 state; /* enum weir_flow_state */
	__u8 origin; /* 1: this row is the first packet's direction */
	__u16 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_tuple);
	__type(value, struct weir_flow);
	__uint(max_entries, WEIR_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_flows SEC(".maps");

#define WEIR_SECOND 1000000000ULL

/* How long a flow lives after a packet in this state, ns. */
WEIR_INLINE __u64 weir_flow_life(__u8 proto, __u8 state)
{
	if (proto == 6 && state == WEIR_FLOW_ESTABLISHED)
		return 432000 * WEIR_SECOND;
	if (proto == 6)
		return 120 * WEIR_SECOND;
	if (proto == 17 && state == WEIR_FLOW_ESTABLISHED)
		return 180 * WEIR_SECOND;
	return 30 * WEIR_SECOND;
}

/* The living flow of a tuple. An expired one is as good as none. */
WEIR_INLINE struct weir_flow *weir_flow_find(const struct weir_tuple *tuple, __u64 now)
{
	struct weir_flow *flow = bpf_map_lookup_elem(&weir_flows, tuple);

	return flow && flow->expires > now ? flow : 0;
}

/* Inserts a row unless a living flow holds the tuple; an expired one gives way. 0 or a negative error. */
WEIR_INLINE int weir_flow_insert(const struct weir_tuple *tuple, const struct weir_flow *row, __u64 now)
{
	struct weir_flow *flow;
	__u64 expired;

	if (!bpf_map_update_elem(&weir_flows, tuple, row, BPF_NOEXIST))
		return 0;
	flow = bpf_map_lookup_elem(&weir_flows, tuple);
	if (!flow)
		return -1;
	expired = flow->expires;
	/* of two CPUs that find it expired one may have it */
	if (expired > now || __sync_val_compare_and_swap(&flow->expires, expired, row->expires) != expired)
		return -1;
	return bpf_map_update_elem(&weir_flows, tuple, row, BPF_EXIST);
}

/*
 * Starts a flow: `tuple` as the first packet carries it, `reply` as answers will.
 * Claiming the reply first makes a translated port unique without a search.
 * 0, or negative when a living flow holds either tuple or the table is full.
 */
WEIR_INLINE int weir_flow_start(const struct weir_tuple *tuple, const struct weir_tuple *reply, __u32 data, __u64 now)
{
	struct weir_flow row = { .data = data };

	row.expires = now + weir_flow_life(tuple->proto, WEIR_FLOW_NEW);
	row.reply = *tuple;
	if (weir_flow_insert(reply, &row, now))
		return -1;
	row.reply = *reply;
	row.origin = 1;
	if (!weir_flow_insert(tuple, &row, now))
		return 0;
	bpf_map_delete_elem(&weir_flows, reply);
	return -1;
}

/* A packet of a flow: counts it, moves the state on, renews both directions. `closing`: FIN or RST. */
WEIR_INLINE void weir_flow_touch(struct weir_flow *flow, struct __sk_buff *skb, int closing, __u64 now)
{
	struct weir_flow *other = bpf_map_lookup_elem(&weir_flows, &flow->reply);
	__u64 expires;

	if (closing)
		flow->state = WEIR_FLOW_CLOSING;
	else if (flow->state == WEIR_FLOW_NEW && !flow->origin)
		flow->state = WEIR_FLOW_ESTABLISHED;
	expires = now + weir_flow_life(flow->reply.proto, flow->state);
	flow->expires = expires;
	__sync_fetch_and_add(&flow->packets, skb->gso_segs ? skb->gso_segs : 1);
	__sync_fetch_and_add(&flow->bytes, skb->len);
	if (!other)
		return;
	other->state = flow->state;
	other->expires = expires;
}
