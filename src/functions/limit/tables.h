/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps of limit: a limit's row, its counters, and the state of its queue. */
#pragma once
#include "flows.h"

#define WEIR_LIMIT_CLASSES 64 /* HTB classes in a limit's block */
/* Places in the block; src/model/shape.ts has the same. */
#define WEIR_LIMIT_FIRST 1  /* sparse flows, sent before all others */
#define WEIR_LIMIT_SHARED 2 /* sparse flows beyond their rate: one share for all */
#define WEIR_LIMIT_LEAVES 20 /* the most leaves in a set; sets start at 4, 24 and 44 */

#define WEIR_LIMIT_SETS 128
#define WEIR_LIMIT_WAYS 8
#define WEIR_LIMIT_FLOWS (WEIR_LIMIT_SETS * WEIR_LIMIT_WAYS)
#define WEIR_LIMIT_DATAGRAMS 64
#define WEIR_LIMIT_WAITS 10 /* classes of waiting times */

struct weir_limit_key {
	__u32 instance;
};

/* One limit, written by userspace. */
struct weir_limit {
	__u32 device;  /* ifindex of the shaping device; 0: missing, packets pass without a limit */
	__u32 block;   /* HTB class of the parent: qdisc handle << 16 | minor; the others follow it */
	__u32 set;     /* place of the first leaf of the set in use */
	__u32 leaves;  /* number of leaves in use */
	__u32 byte;    /* time of one byte at layer 3, ns / 1024 */
	__u32 queue;   /* bytes that a single TCP flow may have queued */
	__u32 least;   /* bytes that each TCP flow may always have queued */
	__u32 deep;    /* bytes that local senders with a charged socket may have queued; 0: ingress limit */
	__u32 split;   /* tbf splits packets that are charged with more bytes */
	__u32 reserved;
	__u64 idle;    /* a pause of this length ends a measurement window, ns */
};

/* Counters of a limit. Bytes at layer 3, with the headers of every wire packet. */
struct weir_limit_use {
	__u64 packets; /* sent on */
	__u64 bytes;
	__u64 received_packets; /* arrived */
	__u64 received_bytes;
	__u64 refused_packets; /* dropped: the queue was full, or they were queued for too long */
	__u64 refused_bytes;
	__u64 marked_packets; /* ECN congestion experienced */
	__u64 waits[WEIR_LIMIT_WAITS]; /* packets sent on, by class of waiting time */
	__u64 last;  /* ktime of the last packet, ns */
	__u64 start; /* ktime at which the open window began */
	__u64 base;  /* bytes counted at that time */
	__u64 rate;  /* bit/s over the last full busy window; 0: none yet */
	__u64 ended; /* ktime at which that window ended */
};

struct weir_limit_leaf {
	__s32 bytes; /* queued */
	__s32 tcp;   /* of these, of TCP */
	__s32 fragments; /* of these, in fragments */
	__u32 reserved;
	__u64 left;  /* ktime when a packet last left, or when the backlog began */
};

struct weir_limit_flow {
	__u32 tag;   /* the flow's hash; 0: free row */
	__s32 bytes; /* queued */
	__u64 due;   /* ktime until which it has used up a sparse flow's rate */
	__u16 place; /* of its leaf */
	__u16 steer; /* processor to which it is steered, as in skb->hash */
	__u32 crowd; /* ktime >> 20 until which packets of flows with this hash may be queued without a row */
};

/*
 * A fragmented datagram whose first fragment was seen. Later fragments go to the same leaf, or are dropped with
 * it. In another leaf they would be too late: a receiver drops a datagram if more than 64 fragments from the
 * same sender arrive in between.
 */
struct weir_limit_datagram {
	__u32 tag;   /* 0: free row */
	__u32 hash;  /* its flow's hash; 0: a fragment was refused */
	__u32 bytes; /* received so far */
	__u32 place; /* of its leaf */
};

struct weir_limit_queue {
	__s32 tcp;    /* queued bytes of TCP, without WEIR_LIMIT_FIRST */
	__s32 other;  /* queued bytes of everything else, without WEIR_LIMIT_FIRST */
	__s32 active; /* leaves with a backlog */
	__u32 swept;  /* the leaf that was checked last */
	__s32 fragments; /* queued bytes of fragments, in all classes */
	__s32 busy;   /* flows with a row and a backlog; at slow rates several share a leaf */
	__u64 first;  /* ktime until which all sparse flows have used up their rate */
	__s64 debt;   /* what HTB charged too little, in bytes / WEIR_LIMIT_UNIT */
	struct weir_limit_leaf leaves[WEIR_LIMIT_CLASSES];
	struct weir_limit_flow flows[WEIR_LIMIT_FLOWS];
	struct weir_limit_datagram datagrams[WEIR_LIMIT_DATAGRAMS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_limit_key);
	__type(value, struct weir_limit);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_limits SEC(".maps");

/* separate from weir_limits, so that editing a limit does not reset its counters */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_limit_key);
	__type(value, struct weir_limit_use);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_limit_use SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_limit_key);
	__type(value, struct weir_limit_queue);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_limit_queue SEC(".maps");

/* an empty queue, which is too large for the stack */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_limit_queue);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
} weir_limit_empty SEC(".maps");

WEIR_INLINE struct weir_limit_use *weir_limit_used(struct weir_limit_key *key)
{
	struct weir_limit_use *use = bpf_map_lookup_elem(&weir_limit_use, key), first = {};

	if (use)
		return use;
	bpf_map_update_elem(&weir_limit_use, key, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&weir_limit_use, key);
}

WEIR_INLINE struct weir_limit_queue *weir_limit_queued(struct weir_limit_key *key)
{
	struct weir_limit_queue *queue = bpf_map_lookup_elem(&weir_limit_queue, key), *empty;
	__u32 zero = 0;

	if (queue)
		return queue;
	empty = bpf_map_lookup_elem(&weir_limit_empty, &zero);
	if (empty)
		bpf_map_update_elem(&weir_limit_queue, key, empty, BPF_NOEXIST);
	return bpf_map_lookup_elem(&weir_limit_queue, key);
}
