/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A limit's row, its counters, and what of it waits in the shaping device. */
#pragma once
#include "flows.h"

#define WEIR_LIMIT_CLASSES 64 /* of one limit: its block of HTB classes */
/* Places in the block; src/model/shape.ts has the same. */
#define WEIR_LIMIT_FIRST 1  /* sparse flows, before all others */
#define WEIR_LIMIT_SHARED 2 /* sparse flows beyond what may go first: one share for all */
#define WEIR_LIMIT_LEAVES 20 /* of a set, at most; a set starts at 4, 24 or 44 */

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
	__u32 device;  /* ifindex of the shaping device; 0: not there, packets pass unshaped */
	__u32 block;   /* HTB class of the parent: qdisc handle << 16 | minor; the others follow it */
	__u32 set;     /* place of the first leaf in force */
	__u32 leaves;  /* how many of the set are in use */
	__u32 byte;    /* time of one byte at layer 3, ns / 1024 */
	__u32 queue;   /* bytes that one TCP flow alone may have waiting */
	__u32 least;   /* bytes that each TCP flow may have waiting in any case */
	__u32 deep;    /* bytes that senders may have waiting whose sockets are charged; 0: none are */
	__u32 split;   /* packets of a leaf that are charged with more bytes than this are split */
	__u32 reserved;
	__u64 idle;    /* ns without a packet that break a measurement's window */
};

/* What passed and what did not. Layer 3, every wire packet's headers counted. */
struct weir_limit_use {
	__u64 packets; /* sent on */
	__u64 bytes;
	__u64 received_packets; /* came to the limit */
	__u64 received_bytes;
	__u64 refused_packets; /* dropped: the flow's queue was full, or they waited for too long */
	__u64 refused_bytes;
	__u64 marked_packets; /* with congestion experienced */
	__u64 waits[WEIR_LIMIT_WAITS]; /* packets sent on, by the time that they waited */
	__u64 last;  /* ktime of the last packet, ns */
	__u64 start; /* ktime at which the open window began */
	__u64 base;  /* bytes until then */
	__u64 rate;  /* bit/s over the last full busy window; 0: none yet */
	__u64 ended; /* ktime at which that window ended */
};

struct weir_limit_leaf {
	__s32 bytes; /* that wait */
	__s32 tcp;   /* of these, TCP's */
	__s32 fragments; /* of these, fragments' */
	__u32 reserved;
	__u64 left;  /* ktime at which a packet left it, or at which its backlog began */
};

struct weir_limit_flow {
	__u32 tag;   /* its hash; 0: free */
	__s32 bytes; /* that wait */
	__u64 due;   /* ktime until which it has used the rate of a sparse flow */
	__u16 place; /* of its leaf in the block */
	__u16 steer; /* to which processor, as skb->hash carries it */
	__u32 crowd; /* of all flows whose hash leads here: until when packets may wait that had no row, ktime >> 20 */
};

/*
 * A datagram whose first fragment was seen: the others follow to its leaf, or end with it. In another leaf they would come
 * too late: a receiver gives a datagram up when more than 64 fragments of the same sender come between two of it.
 */
struct weir_limit_datagram {
	__u32 tag;   /* 0: free */
	__u32 hash;  /* of its flow; 0: a fragment was refused */
	__u32 bytes; /* that came */
	__u32 place; /* of its leaf in the block */
};

struct weir_limit_queue {
	__s32 tcp;    /* bytes of TCP that wait, but for those of WEIR_LIMIT_FIRST, … */
	__s32 other;  /* … and of all else */
	__s32 active; /* leaves with a backlog */
	__u32 swept;  /* the leaf that was looked at last */
	__s32 fragments; /* bytes of fragments that wait, anywhere */
	__s32 busy;   /* flows with a row and a backlog; at slow rates many share a leaf */
	__u64 first;  /* ktime until which the rate of all sparse flows is used */
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

/* apart from weir_limits: an edit of a limit must not reset its counters */
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

/* An empty queue: too large for the stack. */
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
