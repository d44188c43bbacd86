/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a packet is in its chain, and where it goes on when the chain has changed while it waited. Part of panel.h. */
#pragma once
#include "panel.h"

WEIR_INLINE struct weir_hop *weir_hop_row(struct __sk_buff *skb, __u32 id)
{
	__u32 key = id / WEIR_PORT_HOPS << 1;
	struct weir_port_hops *port;

	if (weir_get(skb, state) & WEIR_META_GEN)
		key |= 1;
	port = bpf_map_lookup_elem(&weir_hops, &key);
	if (!port)
		return 0;
	barrier_var(port); /* clang would add to it before the check */
	return &port->hop[id & (WEIR_PORT_HOPS - 1)];
}

WEIR_INLINE struct weir_course *weir_course_row(__u32 id)
{
	return bpf_map_lookup_elem(&weir_courses, &id);
}

/* Where a packet goes on: at a hop of a chain as it is now, or as it was on a course. */
struct weir_spot {
	__u32 hop;
	__u32 course;
};

/* A hop of a chain as it is, as a spot on that chain's course. */
WEIR_INLINE struct weir_spot weir_spot(struct __sk_buff *skb, __u32 id)
{
	struct weir_hop *hop = weir_hop_row(skb, id);

	return (struct weir_spot){ id, hop ? hop->course : 0 };
}

/* Where this packet is. */
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

/* Position on the course `is`, of a chain as it stands, of an instance; WEIR_PLACE_AT: it is not there. */
WEIR_INLINE __u32 weir_position(const struct weir_course *is, __u16 instance)
{
	for (__u32 at = 0; at < WEIR_PLACE_AT; at++)
		if (is->instance[at] == instance)
			return at;
	return WEIR_PLACE_AT;
}

/*
 * The hop at which a packet goes on whose chain has changed: the first instance of the course that it was on, from
 * position `from` on, that is still in the chain, wherever it now stands; else the chain's end. Notes the place. So each
 * function of the course judges the packet once, and none that came later does. Not static: the verifier walks it once.
 *
 * @first: the chain's first hop
 * @course: id of the course
 */
__noinline __u32 weir_find_hop(struct __sk_buff *skb, __u32 first, __u32 course, __u32 from)
{
	struct weir_hop *head = weir_hop_row(skb, first);
	struct weir_course *was = weir_course_row(course);
	struct weir_course *is = weir_course_row(head ? head->course : 0);
	__u32 at, now = WEIR_PLACE_AT;

	if (!was || !is)
		return first;
	if (was->chain != first / WEIR_CHAIN_HOPS)
		from = WEIR_PLACE_AT; /* course 0, or one that is another chain's by now */
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
