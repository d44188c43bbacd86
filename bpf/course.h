/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a packet is in its chain, and where it goes on when the chain has changed while it waited. Part of panel.h. */
#pragma once
#include "panel.h"

WEIR_INLINE struct weir_hop *weir_hop_row(struct __sk_buff *skb, __u32 id)
{
	__u32 key = id & (WEIR_HOP_IDS - 1);

	if (weir_get(skb, state) & WEIR_META_GEN)
		key += WEIR_HOP_IDS;
	return bpf_map_lookup_elem(&weir_hops, &key);
}

WEIR_INLINE struct weir_course *weir_course_row(__u32 id)
{
	id &= WEIR_COURSES - 1;
	return bpf_map_lookup_elem(&weir_courses, &id);
}

/* A hop of a chain as it is, as a place on that chain's course. */
WEIR_INLINE __u32 weir_place(struct __sk_buff *skb, __u32 id)
{
	struct weir_hop *hop = weir_hop_row(skb, id);

	return (id & WEIR_PLACE_HOP) | WEIR_PLACE_COURSE | (hop ? hop->course : 0) << 16;
}

/* Where this packet is. */
WEIR_INLINE __u32 weir_here(struct __sk_buff *skb)
{
	__u32 place = weir_get(skb, place);

	return place ? place : weir_place(skb, weir_get(skb, hop));
}

/*
 * The hop at which a packet goes on whose chain has changed: its course's first instance, from this place on, that is
 * still in the chain, wherever it now stands; else the chain's end. Notes the place. So each function of the course
 * judges the packet once, and none that came later does.
 */
static __noinline __u32 weir_find_hop(struct __sk_buff *skb, __u32 place)
{
	__u32 first = place & WEIR_PLACE_HOP & ~WEIR_PLACE_AT, from = place & WEIR_PLACE_AT, end = 0;
	struct weir_hop *head = weir_hop_row(skb, first);
	struct weir_course *was = weir_course_row(place >> 16);
	struct weir_course *is = weir_course_row(head ? head->course : 0);

	if (!was || !is)
		return first;
	if (was->first != first)
		from = WEIR_PLACE_AT; /* course 0, or one that is another chain's by now */
#pragma unroll
	for (__u32 at = 0; at < WEIR_PLACE_AT; at++) {
		if (at < from || !was->instance[at])
			continue;
#pragma unroll
		for (__u32 now = 0; now < WEIR_PLACE_AT; now++) {
			if (is->instance[now] != was->instance[at])
				continue;
			weir_set(skb, place, (place & ~WEIR_PLACE_AT) | at);
			return first + now;
		}
	}
	weir_set(skb, place, place | WEIR_PLACE_AT);
#pragma unroll
	for (__u32 now = 0; now < WEIR_PLACE_AT; now++)
		end += is->instance[now] != 0;
	return first + end;
}
