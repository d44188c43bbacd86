/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Rows of a limit's leaves and flows. */
#pragma once
#include "carry.h"

#define WEIR_LIMIT_MS 1000000ULL
/* Packets of a flow without a row are queued for less than this, ktime >> 20. */
#define WEIR_LIMIT_CROWD 512

#define max_of(a, b) ((a) > (b) ? (a) : (b))

WEIR_INLINE __u64 weir_limit_time(const struct weir_limit *limit, __u64 bytes)
{
	return bytes * limit->byte >> 10;
}

WEIR_INLINE struct weir_limit_leaf *leaf_at(struct weir_limit_queue *queue, __u32 place)
{
	return &queue->leaves[place & (WEIR_LIMIT_CLASSES - 1)];
}

WEIR_INLINE __u32 *crowd_at(struct weir_limit_queue *queue, __u32 hash)
{
	return &queue->flows[(hash >> 6) & (WEIR_LIMIT_FLOWS - 1)].crowd;
}

/* Whether packets that a flow sent before it got a row may still be queued. They must not be overtaken. */
WEIR_INLINE int had_no_row(struct weir_limit_queue *queue, const struct weir_limit_flow *flow, __u32 hash, __u64 now)
{
	return flow->bytes <= 0 && (__s32)(*crowd_at(queue, hash) - (__u32)(now >> 20)) > 0;
}

/* Forgets a flow's backlog, which was removed with its leaf. */
WEIR_INLINE void forget_flow(struct weir_limit_queue *queue, struct weir_limit_flow *flow)
{
	if (flow->bytes > 0 && queue->busy > 0)
		__sync_fetch_and_add(&queue->busy, -1);
	flow->bytes = 0;
}

/* Number + 1 of the flow's row or of a free one; 0: all rows it may use belong to other flows. */
WEIR_INLINE __u32 row_for(struct weir_limit_queue *queue, __u32 hash)
{
	__u32 first = (hash >> 6) % WEIR_LIMIT_SETS * WEIR_LIMIT_WAYS, row = 0;
	struct weir_limit_flow *flow, *oldest = 0;

#pragma unroll
	for (__u32 way = 0; way < WEIR_LIMIT_WAYS; way++) {
		flow = &queue->flows[(first + way) & (WEIR_LIMIT_FLOWS - 1)];
		if (flow->tag == hash)
			return first + way + 1;
		if ((flow->bytes <= 0 || leaf_at(queue, flow->place)->bytes <= 0) && (!oldest || flow->due < oldest->due)) {
			oldest = flow;
			row = first + way + 1;
		}
	}
	if (!oldest)
		return 0;
	oldest->tag = hash;
	forget_flow(queue, oldest);
	oldest->due = 0;
	oldest->place = 0;
	return row;
}

WEIR_INLINE struct weir_limit_flow *flow_at(struct weir_limit_queue *queue, __u32 row)
{
	return row ? &queue->flows[(row - 1) & (WEIR_LIMIT_FLOWS - 1)] : 0;
}
