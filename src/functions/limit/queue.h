/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Decides whether a packet is queued and in which leaf. Leaves only hold packets. Queued bytes are counted
 * here, on arrival and on return, so that editing a limit touches no queue.
 */
#pragma once
#include "sparse.h"

/*
 * Non-TCP packets are accepted while they would be queued for less than this, ns; including sparse packets
 * ahead of them, for 8/5 of it.
 */
#define WEIR_LIMIT_PATIENCE (50 * WEIR_LIMIT_MS)
/*
 * A leaf from which nothing leaves for this time, ns, and for one round of all leaves of WEIR_LIMIT_ROUND
 * bytes, was removed or reset: its backlog is forgotten.
 */
#define WEIR_LIMIT_STALE (400 * WEIR_LIMIT_MS)
#define WEIR_LIMIT_ROUND 16384
/*
 * Bytes (four packets) that a flow may have queued at a slow rate with few other flows, though they take longer
 * than the time limit.
 */
#define WEIR_LIMIT_FEW 6000
/* A returned packet that was queued for longer is dropped, ns. */
#define WEIR_LIMIT_LATEST (100 * WEIR_LIMIT_MS)
#define WEIR_LIMIT_TWO_FRAMES 3028
#define WEIR_LIMIT_DATAGRAM 65535
/*
 * Fragments may be sparse only if a datagram of maximum size takes less than this, ns, since it delays all
 * others.
 */
#define WEIR_LIMIT_DATAGRAM_TIME (20 * WEIR_LIMIT_MS)
#define WEIR_LIMIT_HALF 0x100 /* flag in addition to a place */
#define WEIR_LIMIT_COLD 0x200
/* HTB lets a class that has been idle for a minute send one packet even if its parent has no tokens, ns. */
#define WEIR_LIMIT_COLD_TIME (50000 * WEIR_LIMIT_MS)

/* Returns all bits set if a < b, else 0, without a branch; both are below 2^62. */
WEIR_INLINE __s64 if_less(__s64 a, __s64 b)
{
	__s64 bits = (a - b) >> 63;

	barrier_var(bits); /* prevents clang from creating a branch */
	return bits;
}

WEIR_INLINE int in_force(const struct weir_limit *limit, __u32 place)
{
	return place >= limit->set && place < limit->set + WEIR_LIMIT_LEAVES;
}

/*
 * The leaf with the smallest backlog among `count` leaves from `start`, or an empty one elsewhere. Without
 * branches, each path of which the verifier would walk, and a function of its own, so that it is walked once.
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
 * The flow's leaf, or the leaf of its hash if that is empty, else the one with the smallest backlog. TCP does
 * not get the last fifth of the leaves: its backlog would leave no room for packets with a time limit.
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
		return place; /* a flow without a row keeps its order in a fixed leaf */
	return limit->set + weir_limit_emptiest(limit, queue, start, count);
}

/*
 * Decides whether a packet may be queued in this leaf. TCP reacts to loss, so it may have more queued: twice
 * the queue, less what all of TCP has queued. Everything else has a time limit, and so have SYNs, since a SYN
 * flood does not react to loss. Returns 0: no; 1: yes; 2: yes, and the queue is half full.
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
			here = max_of(queue->tcp, 0); /* other packets in the leaf do not count against TCP */
		room = max_of((__s32)(2 * limit->queue) - max_of(queue->tcp, 0), (__s32)limit->least);
		if (here > room)
			return 0; /* the packet that exceeds the limit is accepted: it may be a GSO packet, all of whose segments would be lost */
		return 2 * here > room ? 2 : 1;
	}
	/* assumes at least four busy leaves: more may become busy while the packet is queued */
	wait = weir_limit_time(limit, here + bytes);
	if (wait * max_of(active, 4) <= WEIR_LIMIT_PATIENCE)
		return wait * max_of(active, 4) > WEIR_LIMIT_PATIENCE / 2 ? 2 : 1;
	/* at slow rates: a few packets of a flow that is nearly alone, and one packet of any flow */
	if (here && (here + bytes > WEIR_LIMIT_FEW || wait * active > WEIR_LIMIT_PATIENCE))
		return 0;
	wait = weir_limit_time(limit, max_of(queue->other, 0) + bytes);
	return wait <= WEIR_LIMIT_PATIENCE || queue->other <= 0 ? 2 : 0;
}

/*
 * Whether a packet with a time limit was queued for too long, because more flows became busy after it was
 * accepted. At slow rates two rounds of the leaves are allowed, since a flow would otherwise get nothing beside
 * many others.
 */
WEIR_INLINE int waited_too_long(const struct weir_limit *limit, const struct weir_limit_queue *queue,
				const struct weir_limit_packet *packet, __u32 place, __u64 wait)
{
	__u32 rounds = max_of(queue->active, 4) * WEIR_LIMIT_TWO_FRAMES;

	return wait > WEIR_LIMIT_LATEST && packet->protocol != IPPROTO_TCP && packet->part == WEIR_LIMIT_WHOLE &&
	       place > WEIR_LIMIT_FIRST && wait > weir_limit_time(limit, rounds);
}

/*
 * A first fragment does not contain its datagram's length, and its later fragments are only refused for what
 * others have queued: an incomplete datagram is useless and occupies the receiver's reassembly memory. So first
 * fragments are refused depending on all queued fragments.
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

/*
 * Subtracts bytes that left the queue. Packets queued by another panel or an earlier agent were never added.
 * Returns 1 if the backlog is now empty.
 */
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
 * Forgets the backlog of a leaf from which nothing has left for longer than a round of all leaves: it was
 * removed with its class or its device.
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

/* Each arrival checks one leaf in turn, so that the backlog of leaves without traffic is forgotten too. */
WEIR_INLINE void sweep(const struct weir_limit *limit, struct weir_limit_queue *queue, __u64 now)
{
	forget_stale(limit, queue, ++queue->swept, now);
}

WEIR_INLINE int may_go_first(const struct weir_limit *limit, const struct weir_limit_packet *packet)
{
	return !packet->part || weir_limit_time(limit, WEIR_LIMIT_DATAGRAM) < WEIR_LIMIT_DATAGRAM_TIME;
}

/* A later fragment is queued where the first one is. */
WEIR_INLINE __u32 place_of_later(const struct weir_limit *limit, struct weir_limit_queue *queue, struct weir_limit_flow *flow,
				 const struct weir_limit_packet *packet, __u32 place, __u64 now)
{
	if (flow)
		flow_is_sparse(limit, queue, flow, packet->bytes, now);
	if (place == WEIR_LIMIT_FIRST)
		first_has_room(limit, queue, packet, now);
	return place <= WEIR_LIMIT_SHARED || in_force(limit, place) ? place : 0;
}

/* The place (class) in which a packet of a flow may be queued; 0: none. */
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
			return 0; /* its leaf is in an old set: the flow moves when that is empty */
		forget_flow(queue, flow);
	}
	if (flow && sparse && may_go_first(limit, packet) && first_has_room(limit, queue, packet, now))
		return WEIR_LIMIT_FIRST;
	/*
	 * an established connection does not count as a new flow, since it could not leave the class shared by
	 * new flows
	 */
	if (sparse && (packet->protocol != IPPROTO_TCP || packet->opening))
		return WEIR_LIMIT_SHARED;
	return leaf_for(limit, queue, flow, packet);
}

/* Whether the packet could overtake packets of its flow that are queued in WEIR_LIMIT_FIRST. */
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
