/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which flows are sparse, and what of them may go before all others. */
#pragma once
#include "rows.h"

/* A flow may be this many bytes ahead of a sparse flow's rate: a handshake and a request of 2 kB. */
#define WEIR_LIMIT_AHEAD 4096
/* … and all sparse flows this many ahead of their rate. */
#define WEIR_LIMIT_FIRST_AHEAD 8192
/* Flows that what may go first stands for when it is full. */
#define WEIR_LIMIT_PRESSURE 16
/* What a flow is ahead is forgotten down to this after a busy time, ns. */
#define WEIR_LIMIT_MEMORY (100 * WEIR_LIMIT_MS)

/* What may go first at once, as time of the rate that all sparse flows have. */
WEIR_INLINE __u64 first_most(const struct weir_limit *limit)
{
	return weir_limit_time(limit, WEIR_LIMIT_FIRST_AHEAD) * 8 / 3 + 5 * WEIR_LIMIT_MS;
}

/*
 * Flows that a flow shares with. Of a flood few have a backlog at slow rates, so those count too that fill up what may go
 * first: the fuller, the less a flow may have to be sparse.
 */
WEIR_INLINE __u64 rivals(const struct weir_limit *limit, const struct weir_limit_queue *queue, __u64 now)
{
	__s32 busy = max_of(queue->active, queue->busy);
	__u64 used = queue->first > now ? queue->first - now : 0;

	return max_of(busy, 0) + used * WEIR_LIMIT_PRESSURE / first_most(limit);
}

/* True while the flow keeps to less than three quarters of what each would have if it were busy too. */
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

/* All sparse flows together go first with three eighths of the rate. A later fragment is of a datagram that does so. */
WEIR_INLINE int first_has_room(const struct weir_limit *limit, struct weir_limit_queue *queue,
			       const struct weir_limit_packet *packet, __u64 now)
{
	__u64 due = max_of(queue->first, now) + weir_limit_time(limit, packet->bytes) * 8 / 3;

	if (!packet->before && due > now + first_most(limit))
		return 0;
	queue->first = due;
	return 1;
}
