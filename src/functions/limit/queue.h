/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which leaf a packet waits in, and whether it may. The leaves only hold; what waits is counted here, in on arrival and
 * out when a packet is back, so no edit of a limit has to touch a queue.
 */
#pragma once
#include "sparse.h"

/* What ignores congestion is taken while it would wait for less than this, ns; with all that may go first, for 8/5 of it. */
#define WEIR_LIMIT_PATIENCE (50 * WEIR_LIMIT_MS)
/* A backlog that nothing leaves for so long is none: its leaf has been removed or reset, ns. */
#define WEIR_LIMIT_STALE (400 * WEIR_LIMIT_MS)
/* … more where a round of the leaves takes long, bytes. */
#define WEIR_LIMIT_ROUND 16384
/* Bytes that a flow may have waiting with few others beside, though they take longer: four packets. */
#define WEIR_LIMIT_FEW 6000
/* What has waited for longer is dropped instead of sent on, ns. */
#define WEIR_LIMIT_LATEST (100 * WEIR_LIMIT_MS)
#define WEIR_LIMIT_TWO_FRAMES 3028
#define WEIR_LIMIT_DATAGRAM 65535
/* Fragments go first where any datagram takes less than this, ns: it keeps all others waiting. */
#define WEIR_LIMIT_DATAGRAM_TIME (20 * WEIR_LIMIT_MS)
#define WEIR_LIMIT_HALF 0x100 /* beside a place */
#define WEIR_LIMIT_COLD 0x200
/* HTB lets a class that has been idle for a minute send one packet whatever its parent has left, ns. */
#define WEIR_LIMIT_COLD_TIME (50000 * WEIR_LIMIT_MS)

/* All bits if a < b, else none, without a branch; both below 2^62. */
WEIR_INLINE __s64 if_less(__s64 a, __s64 b)
{
	__s64 bits = (a - b) >> 63;

	barrier_var(bits); /* clang makes a branch of it else */
	return bits;
}

WEIR_INLINE int in_force(const struct weir_limit *limit, __u32 place)
{
	return place >= limit->set && place < limit->set + WEIR_LIMIT_LEAVES;
}

/*
 * The emptiest leaf among `count` from `start` on, or an empty one elsewhere. Without branches, of which the verifier
 * would walk each way, and a function of its own, so that it walks this once.
 */
__attribute__((noinline)) __u32 weir_limit_emptiest(const struct weir_limit *limit, struct weir_limit_queue *queue,
						    __u32 start, __u32 count)
{
	__s64 least = 1ULL << 62, bytes, key;

	if (!limit || !queue)
		return 0;
	for (__u32 i = 0; i < WEIR_LIMIT_LEAVES; i++) {
		bytes = leaf_at(queue, limit->set + i)->bytes;
		key = (if_less(0, bytes) & (bytes << 8)) | i;
		key |= ~(if_less((__u32)(i - start), count) | if_less(bytes, 1)) & (1LL << 60);
		key |= ~if_less(i, limit->leaves) & (1LL << 61);
		least += (key - least) & if_less(key, least);
	}
	return least & 0xff;
}

/*
 * The leaf that the flow had or the one of its hash if that is empty, else the emptiest. The last fifth is not for TCP,
 * whose backlog would leave no room for what is held to a time.
 */
WEIR_INLINE __u32 leaf_for(const struct weir_limit *limit, struct weir_limit_queue *queue,
			   const struct weir_limit_flow *flow, const struct weir_limit_packet *packet)
{
	__u32 kept = (limit->leaves + 4) / 5, place = flow ? flow->place : 0;
	__u32 start = packet->protocol == IPPROTO_TCP ? 0 : limit->leaves - kept;
	__u32 count = packet->protocol == IPPROTO_TCP ? limit->leaves - kept : kept;

	if (place < limit->set + start || place >= limit->set + start + count)
		place = limit->set + start + (count ? (packet->hash >> 16) % count : 0);
	if (!flow || leaf_at(queue, place)->bytes <= 0)
		return place; /* without a row, always the same leaf: order is kept */
	return limit->set + weir_limit_emptiest(limit, queue, start, count);
}

/*
 * May the packet wait in this leaf? TCP gives way to what it loses, so it may have more: twice the queue less what all of
 * TCP has waiting. Everything else is held to a time, and so is a SYN, of which a flood gives way to nothing. 0: no; 1: yes;
 * 2: yes, but the queue is half full.
 */
WEIR_INLINE int has_room(const struct weir_limit *limit, struct weir_limit_queue *queue, __u32 place,
			 const struct weir_limit_packet *packet, int charged)
{
	__s32 here = max_of(leaf_at(queue, place)->bytes, 0), bytes = packet->bytes, room;
	__u32 active = max_of(queue->active, 1);
	__u64 wait;

	if (charged && queue->tcp >= (__s32)limit->deep)
		return 0;
	if (charged)
		return weir_limit_time(limit, here) * active > WEIR_LIMIT_PATIENCE / 2 ? 2 : 1;
	if (packet->protocol == IPPROTO_TCP && !packet->opening) {
		if (place == WEIR_LIMIT_SHARED)
			here = max_of(queue->tcp, 0); /* what else waits there is no reason to refuse it */
		room = max_of((__s32)(2 * limit->queue) - max_of(queue->tcp, 0), (__s32)limit->least);
		if (here > room)
			return 0; /* the packet that overfills it is taken: it may be many segments, and all would be lost at once */
		return 2 * here > room ? 2 : 1;
	}
	/* as if four leaves were busy at least: more may become so while it waits */
	wait = weir_limit_time(limit, here + bytes);
	if (wait * max_of(active, 4) <= WEIR_LIMIT_PATIENCE)
		return wait * max_of(active, 4) > WEIR_LIMIT_PATIENCE / 2 ? 2 : 1;
	/* where packets take long, a few of a flow that has the limit nearly for itself, and one of any */
	if (here && (here + bytes > WEIR_LIMIT_FEW || wait * active > WEIR_LIMIT_PATIENCE))
		return 0;
	wait = weir_limit_time(limit, max_of(queue->other, 0) + bytes);
	return wait <= WEIR_LIMIT_PATIENCE || queue->other <= 0 ? 2 : 0;
}

/*
 * Has what ignores congestion waited for too long? More flows became busy than when it was taken. Where packets take long,
 * two rounds of the leaves are not too long: less would leave a flow nothing beside many others.
 */
WEIR_INLINE int waited_too_long(const struct weir_limit *limit, const struct weir_limit_queue *queue,
				const struct weir_limit_packet *packet, __u32 place, __u64 wait)
{
	__u32 rounds = max_of(queue->active, 4) * WEIR_LIMIT_TWO_FRAMES;

	return wait > WEIR_LIMIT_LATEST && packet->protocol != IPPROTO_TCP && packet->part == WEIR_LIMIT_WHOLE &&
	       place > WEIR_LIMIT_FIRST && wait > weir_limit_time(limit, rounds);
}

/*
 * A head says nothing of its datagram's length, and its later fragments are only refused for what others have waiting: a
 * datagram without its end is worth nothing, and fills its receiver's memory. So heads are refused for the fragments that
 * wait, wherever they do.
 */
WEIR_INLINE int datagram_has_room(const struct weir_limit *limit, struct weir_limit_queue *queue, __u32 place,
				  const struct weir_limit_packet *packet)
{
	__s32 others = max_of(queue->fragments - (__s32)packet->before, 0);
	__u64 most = place > WEIR_LIMIT_SHARED ? WEIR_LIMIT_PATIENCE / 2 : WEIR_LIMIT_PATIENCE * 3 / 4;

	if (packet->before)
		most = WEIR_LIMIT_PATIENCE + weir_limit_time(limit, WEIR_LIMIT_DATAGRAM);
	return weir_limit_time(limit, others) <= most;
}

/* Takes off what has left; what another panel or an earlier agent queued was never added. 1 if it was the last. */
WEIR_INLINE int take_off(__s32 *from, __s32 bytes)
{
	__s32 before = __sync_fetch_and_add(from, -bytes);

	if (before < bytes)
		*from = 0;
	return before > 0 && before <= bytes;
}

WEIR_INLINE __s32 *total_of(struct weir_limit_queue *queue, const struct weir_limit_packet *packet)
{
	return packet->protocol == IPPROTO_TCP ? &queue->tcp : &queue->other;
}

/*
 * Nothing has left this leaf for longer than a round of all leaves takes: what waited in it was removed with its class, or
 * with its device, and never comes back.
 */
WEIR_INLINE int forget_stale(const struct weir_limit *limit, struct weir_limit_queue *queue, __u32 place, __u64 now)
{
	struct weir_limit_leaf *leaf = leaf_at(queue, place);
	__s32 bytes = leaf->bytes, tcp = leaf->tcp;

	if (bytes <= 0 || now < leaf->left + WEIR_LIMIT_STALE + weir_limit_time(limit, WEIR_LIMIT_ROUND))
		return 0;
	if ((place & (WEIR_LIMIT_CLASSES - 1)) != WEIR_LIMIT_FIRST) {
		take_off(&queue->tcp, tcp);
		take_off(&queue->other, bytes - tcp);
		if (queue->active > 0)
			__sync_fetch_and_add(&queue->active, -1);
	}
	take_off(&queue->fragments, leaf->fragments);
	leaf->bytes = 0;
	leaf->tcp = 0;
	leaf->fragments = 0;
	leaf->left = 0;
	return 1;
}

/* Each arrival looks at one leaf, in turn: one that no flow uses any more is forgotten too. */
WEIR_INLINE void sweep(const struct weir_limit *limit, struct weir_limit_queue *queue, __u64 now)
{
	forget_stale(limit, queue, ++queue->swept, now);
}

WEIR_INLINE int may_go_first(const struct weir_limit *limit, const struct weir_limit_packet *packet)
{
	return !packet->part || weir_limit_time(limit, WEIR_LIMIT_DATAGRAM) < WEIR_LIMIT_DATAGRAM_TIME;
}

/* A later fragment waits where its head does. */
WEIR_INLINE __u32 place_of_later(const struct weir_limit *limit, struct weir_limit_queue *queue, struct weir_limit_flow *flow,
				 const struct weir_limit_packet *packet, __u32 place, __u64 now)
{
	if (flow)
		flow_is_sparse(limit, queue, flow, packet->bytes, now);
	if (place == WEIR_LIMIT_FIRST)
		first_has_room(limit, queue, packet, now);
	return place <= WEIR_LIMIT_SHARED || in_force(limit, place) ? place : 0;
}

/* Where the packet of a flow may wait: a place in the block; 0: nowhere. */
WEIR_INLINE __u32 place_for(const struct weir_limit *limit, struct weir_limit_queue *queue, struct weir_limit_flow *flow,
			    const struct weir_limit_packet *packet, __u64 now)
{
	int sparse = !flow || flow_is_sparse(limit, queue, flow, packet->bytes, now);

	if (flow && leaf_at(queue, flow->place)->bytes <= 0)
		forget_flow(queue, flow);
	if (flow && flow->bytes > 0 && flow->place != WEIR_LIMIT_FIRST) {
		if (flow->place == WEIR_LIMIT_SHARED || in_force(limit, flow->place))
			return flow->place;
		if (!forget_stale(limit, queue, flow->place, now))
			return 0; /* its leaf is of another set: it moves when that is empty */
		forget_flow(queue, flow);
	}
	if (flow && sparse && may_go_first(limit, packet) && first_has_room(limit, queue, packet, now))
		return WEIR_LIMIT_FIRST;
	/* a connection that is open is no newcomer: it would not get out of what new flows share */
	if (sparse && (packet->protocol != IPPROTO_TCP || packet->opening))
		return WEIR_LIMIT_SHARED;
	return leaf_for(limit, queue, flow, packet);
}

/* Would the packet overtake those of its flow that wait in WEIR_LIMIT_FIRST? */
WEIR_INLINE int is_cold(struct weir_limit_queue *queue, const struct weir_limit_flow *flow, __u32 place, __u64 now)
{
	return flow->bytes > 0 && flow->place == WEIR_LIMIT_FIRST && place > WEIR_LIMIT_FIRST &&
	       now > leaf_at(queue, place)->left + WEIR_LIMIT_COLD_TIME;
}

WEIR_INLINE void queue_add(struct weir_limit_queue *queue, struct weir_limit_flow *flow, __u32 place,
			   const struct weir_limit_packet *packet, __u64 now)
{
	struct weir_limit_leaf *leaf = leaf_at(queue, place);
	__s32 bytes = packet->bytes;

	if (__sync_fetch_and_add(&leaf->bytes, bytes) <= 0) {
		leaf->left = now;
		if (place != WEIR_LIMIT_FIRST)
			__sync_fetch_and_add(&queue->active, 1);
	}
	if (packet->protocol == IPPROTO_TCP)
		__sync_fetch_and_add(&leaf->tcp, bytes);
	if (packet->part) {
		__sync_fetch_and_add(&leaf->fragments, bytes);
		__sync_fetch_and_add(&queue->fragments, bytes);
	}
	if (flow && __sync_fetch_and_add(&flow->bytes, bytes) <= 0)
		__sync_fetch_and_add(&queue->busy, 1);
	if (place != WEIR_LIMIT_FIRST)
		__sync_fetch_and_add(total_of(queue, packet), bytes);
}

WEIR_INLINE void queue_remove(struct weir_limit_queue *queue, __u32 place, const struct weir_limit_packet *packet,
			      __u32 row, __u64 now)
{
	struct weir_limit_leaf *leaf = leaf_at(queue, place);
	struct weir_limit_flow *flow = flow_at(queue, row);
	__s32 bytes = packet->bytes;

	leaf->left = now;
	if (take_off(&leaf->bytes, bytes) && place != WEIR_LIMIT_FIRST && queue->active > 0)
		__sync_fetch_and_add(&queue->active, -1);
	if (packet->protocol == IPPROTO_TCP)
		take_off(&leaf->tcp, bytes);
	if (packet->part) {
		take_off(&leaf->fragments, bytes);
		take_off(&queue->fragments, bytes);
	}
	if (flow && take_off(&flow->bytes, bytes) && queue->busy > 0)
		__sync_fetch_and_add(&queue->busy, -1);
	if (place != WEIR_LIMIT_FIRST)
		take_off(total_of(queue, packet), bytes);
	if (queue->tcp <= 0 && queue->other <= 0) {
		queue->active = 0;
		queue->busy = 0;
		queue->fragments = 0;
	}
}
