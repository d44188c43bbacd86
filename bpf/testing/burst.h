/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Bursts of numbered flows for tests and measurements: each program run is one flow. */
#pragma once
#include "flow.h"

enum track_result {
	TRACK_FOUND = 0,
	TRACK_OPENED,
	TRACK_NO_FLOW, /* the packet belongs to no flow */
	TRACK_MISSED,  /* its flow does not exist, and it cannot open it */
	TRACK_TAKEN,
	TRACK_REFUSED,
};

enum track_work {
	TRACK_NOTHING = 0, /* only make the tuple: the baseline of the other costs */
	TRACK_FIND,
	TRACK_FIND_ANSWER, /* find by the reply's tuple */
	TRACK_SEE,	   /* find, and handle a packet */
	TRACK_OPEN,	   /* find; open if there is none; find again by the reply's tuple */
	TRACK_INSERT,	   /* open */
	TRACK_SEE_ANSWER,  /* as TRACK_SEE, a reply */
	TRACK_INSERT_ANSWER, /* open by the reply's tuple, as if the responder had begun */
};

/* A kind of numbered flows, and the results. Each thread has a row of its own. */
struct track_burst {
	__u32 work; /* enum track_work */
	__u32 zone;
	__u32 owner;
	__u32 owners;	/* flow n has owner + n % owners; 0: 1 */
	__u64 next;	/* the next number */
	__u64 flows;	/* number of different flows */
	__u32 later;	/* units of time from now */
	__u32 pace;	/* flows per unit of time */
	__u32 protocol;
	__u32 translate; /* as track_asked.translate */
	__u64 found;
	__u64 opened;
	__u64 missed;
	__u64 taken;
	__u64 refused;
	__u64 lost; /* opened, but not found right after */
	__u64 reversed; /* found or opened, in the direction of replies */
	__u32 flags;	/* of TCP segments to handle; 0: ACK */
	__u8 apart[148]; /* keeps rows of two threads in different cache lines */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct track_burst);
	__uint(max_entries, 16);
} weir_track_bursts SEC(".maps");

/* Flow n: from 10.0.0.0/8 to 192.0.2.1, with addresses and ports from the number. */
WEIR_INLINE void track_flow(const struct track_burst *burst, __u64 n, struct weir_flow_packet *packet)
{
	*packet = (struct weir_flow_packet){ .tuple.zone = burst->zone, .tuple.family = 4 };
	packet->tuple.protocol = burst->protocol;
	*(__be32 *)packet->tuple.src = bpf_htonl(0x0a000000 | (n >> 14 & 0xffffff));
	*(__be32 *)packet->tuple.dst = bpf_htonl(0xc0000201);
	packet->tuple.src_port = bpf_htons(1024 + (n & 0x3fff));
	packet->tuple.dst_port = bpf_htons(80);
	packet->flags = burst->protocol == IPPROTO_TCP ? WEIR_TCP_SYN : 0;
}

WEIR_INLINE void track_answer(const struct weir_flow_tuple *tuple, struct weir_flow_tuple *answer)
{
	*answer = *tuple;
	__builtin_memcpy(answer->src, tuple->dst, 16);
	__builtin_memcpy(answer->dst, tuple->src, 16);
	answer->src_port = tuple->dst_port;
	answer->dst_port = tuple->src_port;
}

WEIR_INLINE void track_count(struct track_burst *burst, int result)
{
	switch (result) {
	case TRACK_FOUND:
		burst->found++;
		break;
	case TRACK_OPENED:
		burst->opened++;
		break;
	case TRACK_TAKEN:
		burst->taken++;
		break;
	case TRACK_REFUSED:
		burst->refused++;
		break;
	default:
		burst->missed++;
	}
}
