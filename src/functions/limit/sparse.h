/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Decides which flows are sparse, and which of their packets are sent before all others. */
#pragma once
#include "rows.h"

/* Bytes that a sparse flow may be ahead of its rate: a handshake and a request of 2 kB. */
#define WEIR_LIMIT_AHEAD 4096
/* Bytes that all sparse flows together may be ahead of their rate. */
#define WEIR_LIMIT_FIRST_AHEAD 8192
/* Number of busy flows for which WEIR_LIMIT_FIRST counts when it is full. */
#define WEIR_LIMIT_PRESSURE 16
/* After a busy time, what a flow is ahead is reduced to this, ns. */
#define WEIR_LIMIT_MEMORY (100 * WEIR_LIMIT_MS)

/* The most that all sparse flows together may be ahead, as time at their rate. */
WEIR_INLINE __u64 first_most(const struct weir_limit *limit)
{
	return weir_limit_time(limit, WEIR_LIMIT_FIRST_AHEAD) * 8 / 3 + 5 * WEIR_LIMIT_MS;
}

/*
 * The number of flows that a flow shares the rate with. In a flood at slow rates few flows have a backlog, so
 * the fill level of WEIR_LIMIT_FIRST counts too: the fuller it is, the less a sparse flow may send.
 */
WEIR_INLINE __u64 rivals(const struct weir_limit *limit, const struct weir_limit_queue *queue, __u64 now)
{
	__s32 busy = max_of(queue->active, queue->busy);
	__u64 used = queue->first > now ? queue->first - now : 0;

	return max_of(busy, 0) + used * WEIR_LIMIT_PRESSURE / first_most(limit);
}

/* True while the flow sends less than three quarters of the share it would have as a busy flow. */
WEIR_INLINE int flow_is_sparse(const struct weir_limit *limit, struct weir_limit_queue *queue,
			       struct weir_limit_flow *flow, __u32 bytes, __u64 now)
{
	__u64 share = (rivals(limit, queue, now) + 1) * 4;
	__u64 ahead = weir_limit_time(limit, WEIR_LIMIT_AHEAD) * share / 3;
	__u64 due = max_of(flow->due, now) + weir_limit_time(limit, bytes) * share / 3;
	__u64 most = now + ahead + WEIR_LIMIT_MEMORY;

	flow->due = due < most ? due : most;
	return due <= now + ahead;
}

/* All sparse flows together get three eighths of the rate first. A later fragment follows its datagram. */
WEIR_INLINE int first_has_room(const struct weir_limit *limit, struct weir_limit_queue *queue,
			       const struct weir_limit_packet *packet, __u64 now)
{
	__u64 due = max_of(queue->first, now) + weir_limit_time(limit, packet->bytes) * 8 / 3;

	if (!packet->before && due > now + first_most(limit))
		return 0;
	queue->first = due;
	return 1;
}
