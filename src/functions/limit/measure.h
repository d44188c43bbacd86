/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Counters and measurement of a limit. */
#pragma once
#include "queue.h"

#define WEIR_LIMIT_WINDOW 1000000000ULL /* ns: the shortest window of a published rate */

WEIR_INLINE void refuse(struct weir_limit_use *use, const struct weir_limit_packet *packet)
{
	__sync_fetch_and_add(&use->refused_packets, packet->packets);
	__sync_fetch_and_add(&use->refused_bytes, packet->bytes);
}

/* Counts a packet on arrival. */
WEIR_INLINE void receive(struct weir_limit_use *use, const struct weir_limit_packet *packet, __u32 place)
{
	__sync_fetch_and_add(&use->received_packets, packet->packets);
	__sync_fetch_and_add(&use->received_bytes, packet->bytes);
	if (!place)
		refuse(use, packet);
}

/* Upper bounds of the classes of waiting times, ms; the last class is open. src/model/waits.ts has the same. */
WEIR_INLINE __u32 wait_class(__u64 wait)
{
	const __u32 ends[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500 };
	__u32 class = 0;

#pragma unroll
	for (int i = 0; i < WEIR_LIMIT_WAITS - 1; i++)
		class += wait >= ends[i] * WEIR_LIMIT_MS;
	return class;
}

/* Counts a packet on leaving. Closes the window when it is long enough, and starts a new one after a pause. */
WEIR_INLINE void measure(struct weir_limit_use *use, const struct weir_limit_packet *packet, __u64 now, __u64 idle,
			 __u64 wait)
{
	__u64 last, start, total;
	__u32 class = wait_class(wait);

	if (class < WEIR_LIMIT_WAITS)
		__sync_fetch_and_add(&use->waits[class], packet->packets);
	__sync_fetch_and_add(&use->packets, packet->packets);
	total = __sync_fetch_and_add(&use->bytes, packet->bytes) + packet->bytes;
	last = use->last;
	use->last = now;
	start = use->start;
	/*
	 * The packet that opens a window is not counted in it: a rate is bytes after an instant per time since
	 * that instant.
	 */
	if (now > last + idle) {
		if (__sync_val_compare_and_swap(&use->start, start, now) == start)
			use->base = total;
		return;
	}
	if (now < start + WEIR_LIMIT_WINDOW)
		return;
	if (__sync_val_compare_and_swap(&use->start, start, now) != start)
		return; /* another CPU closes the window */
	use->rate = (total - use->base) * 8000000 / ((now - start) / 1000);
	use->ended = now;
	use->base = total;
}
