/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A packet's position in its chain, and where it continues if the chain changed while it waited. Part of
 * panel.h.
 */
#pragma once
#include "panel.h"

/* @state: contains the generation */
WEIR_INLINE struct weir_hop *weir_hop_row(__u32 id, __u32 state)
{
	__u32 key = id / WEIR_PORT_HOPS << 1 | state / WEIR_META_GEN % 2;
	struct weir_port_hops *port = bpf_map_lookup_elem(&weir_hops, &key);

	if (!port)
		return 0;
	barrier_var(port); /* keeps clang from adding the offset before the check */
	return &port->hop[id & (WEIR_PORT_HOPS - 1)];
}

WEIR_INLINE struct weir_course *weir_course_row(__u32 id)
{
	return bpf_map_lookup_elem(&weir_courses, &id);
}

/* A position: a hop of a chain in the current generation, or a position on a course. */
struct weir_spot {
	__u32 hop;
	__u32 course;
};

/* The spot of a hop in the current generation. */
WEIR_INLINE struct weir_spot weir_spot(struct __sk_buff *skb, __u32 id)
{
	struct weir_hop *hop = weir_hop_row(id, weir_get(skb, state));

	return (struct weir_spot){ id, hop ? hop->course : 0 };
}

/* The spot of this packet. */
WEIR_INLINE struct weir_spot weir_here(struct __sk_buff *skb)
{
	__u32 place = weir_get(skb, place), hop = weir_get(skb, hop);

	if (!place)
		return weir_spot(skb, hop);
	return (struct weir_spot){ (hop & ~WEIR_PLACE_AT) | (place & WEIR_PLACE_AT), place >> WEIR_PLACE_COURSE_SHIFT };
}

WEIR_INLINE __u32 weir_place(__u32 course, __u32 at)
{
	return course << WEIR_PLACE_COURSE_SHIFT | WEIR_PLACE_SET | at;
}

/* The position of an instance on course `is`; WEIR_PLACE_AT: it is not on the course. */
WEIR_INLINE __u32 weir_position(const struct weir_course *is, __u16 instance)
{
	for (__u32 at = 0; at < WEIR_PLACE_AT; at++)
		if (is->instance[at] == instance)
			return at;
	return WEIR_PLACE_AT;
}

/*
 * Finds the hop at which a packet continues whose chain has changed: that of the first instance on its course,
 * from position `from`, that is still in the chain, wherever that is now; else the chain's terminal hop. Sets
 * the packet's place. So each function of the course judges the packet once, and no function that was added
 * later does. Not static, so that the verifier walks it once.
 *
 * @first: the chain's first hop
 * @course: id of the course
 */
__noinline __u32 weir_find_hop(struct __sk_buff *skb, __u32 first, __u32 course, __u32 from)
{
	struct weir_hop *head = weir_hop_row(first, weir_get(skb, state));
	struct weir_course *was = weir_course_row(course);
	struct weir_course *is = weir_course_row(head ? head->course : 0);
	__u32 at, now = WEIR_PLACE_AT;

	if (!was || !is)
		return first;
	if (was->chain != first / WEIR_CHAIN_HOPS)
		from = WEIR_PLACE_AT; /* course 0, or an id that was reused by another chain */
	for (at = 0; at < WEIR_PLACE_AT; at++) {
		if (at < from || !was->instance[at])
			continue;
		now = weir_position(is, was->instance[at]);
		if (now < WEIR_PLACE_AT)
			break;
	}
	weir_set(skb, place, weir_place(course, at));
	return first + (now < WEIR_PLACE_AT ? now : weir_position(is, 0));
}
