/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Opening a flow. Part of flow.h. */
#pragma once
#include "flow_put.h"
#include "flow_state.h"

enum weir_flow_opened {
	WEIR_FLOW_OPENED = 0,
	WEIR_FLOW_FOUND,   /* another CPU has opened it meanwhile, perhaps with another translation */
	WEIR_FLOW_TAKEN,   /* the translated tuple is in use: choose another port */
	WEIR_FLOW_REFUSED, /* no room for this owner */
};

/*
 * A flow to open. weir_flow_new() initializes it from the first packet. The function then sets its own fields
 * (service, backend, identities, data) and, if it translates, the translated tuple.
 */
struct weir_flow_new {
	struct weir_flow flow;
	__u16 owner;	 /* the port that is charged for the row */
	__u8 translated; /* 1: flow.translated differs from flow.original */
	__u8 reversed;	 /* FOUND: 1: the packet has the direction of that flow's replies */
	__u32 anew; /* match.stamp of a flow to replace, after WEIR_FLOW_AGAIN or for another choice; or 0 */
	__u32 now;
	__u32 place; /* the flow's place, once it is OPENED or FOUND */
	__u32 stamp;
	struct weir_flow_put put;
	__u64 alias; /* reference to the alias by the translated tuple */
	__u16 own;   /* 1: the alias was written for this flow, not found */
	__u16 other; /* FOUND: 1: the packet carries that flow's translated tuple */
};

/*
 * A flow that is being opened: too large for the stack. No packet may be sent between weir_flow_new() and
 * _open().
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_new);
	__uint(max_entries, 1);
} weir_flow_scratch SEC(".maps");

/*
 * Initializes a flow from its first packet. Returns 0 if the packet cannot open one: an ICMP error or a later
 * fragment.
 */
WEIR_INLINE struct weir_flow_new *weir_flow_new(const struct weir_flow_packet *packet, __u16 owner, __u32 now)
{
	__u32 zero = 0;
	struct weir_flow_new *new = bpf_map_lookup_elem(&weir_flow_scratch, &zero);

	if (!new || packet->error || packet->part == WEIR_FLOW_LATER)
		return 0;
	__builtin_memset(&new->flow, 0, sizeof(new->flow));
	new->flow.original = packet->tuple;
	new->flow.translated = packet->tuple;
	new->flow.state = weir_flow_first_state(packet);
	new->flow.opened = now;
	if (packet->tuple.protocol == IPPROTO_TCP && packet->flags & WEIR_TCP_SYN)
		weir_flow_note_syn(&new->flow, packet, 0, WEIR_FLOW_TCP_NEW);
	new->owner = owner;
	new->translated = 0;
	new->anew = 0;
	new->now = now;
	return new;
}

/* Sets an alias's flow and expiry. Returns 0, or -1: the alias is gone. */
WEIR_INLINE int weir_flow_link(__u64 alias, __u64 flow, __u32 expires)
{
	__u32 place = alias >> 32, way = weir_flow_way(place);
	struct weir_flow_bucket *bucket = weir_flow_bucket_of(place >> WEIR_FLOW_PLACE_SHIFT);
	int linked;

	if (!bucket)
		return -1;
	bpf_spin_lock(&bucket->lock);
	linked = bucket->row[way].stamp == (__u32)alias;
	if (linked) {
		bucket->row[way].twin = flow;
		bucket->expires[way] = expires;
	}
	bpf_spin_unlock(&bucket->lock);
	return linked ? 0 : -1;
}

/* Ends the alias of a replaced row, unless the new row uses it too. */
WEIR_INLINE void weir_flow_succeed(__u64 twin, __u64 kept)
{
	if (weir_unlikely(twin) && twin != kept)
		weir_flow_remove(twin);
}

/*
 * Claims the translated tuple by writing an alias. An existing alias of the same flow is used: another CPU is
 * opening it, or it is opened again.
 */
WEIR_INLINE int weir_flow_claim(struct weir_flow_new *new)
{
	struct weir_flow_put *put = &new->put;
	int result;

	put->row = new->flow;
	put->row.original = new->flow.translated;
	put->row.translated = new->flow.original;
	put->row.kind = WEIR_FLOW_TRANSLATED;
	put->row.twin = 0;
	put->owner = new->owner;
	put->now = new->now;
	put->replace = 0;
	result = weir_flow_put_once(put);
	new->alias = weir_flow_twin(put->place, put->stamp);
	new->own = result == WEIR_FLOW_PUT;
	if (new->own)
		weir_flow_succeed(put->twin, 0);
	else if (result == WEIR_FLOW_THERE)
		return put->same ? WEIR_FLOW_OPENED : WEIR_FLOW_TAKEN;
	return new->own ? WEIR_FLOW_OPENED : WEIR_FLOW_REFUSED;
}

/* Completes a flow whose row is written. Returns 0, or -1: its alias was evicted meanwhile. */
WEIR_INLINE int weir_flow_finish(struct weir_flow_new *new)
{
	__u64 flow = weir_flow_twin(new->place, new->stamp);

	weir_flow_succeed(new->put.twin, new->alias);
	if (!new->alias || !weir_flow_link(new->alias, flow, new->put.expires))
		return 0;
	weir_flow_remove(flow);
	return -1;
}

/* Writes the flow's own row. */
WEIR_INLINE int weir_flow_settle(struct weir_flow_new *new)
{
	struct weir_flow_put *put = &new->put;
	int result;

	put->row = new->flow;
	put->row.twin = new->alias;
	put->owner = new->owner;
	put->now = new->now;
	put->replace = new->anew;
	result = weir_flow_put_once(put);
	new->place = put->place;
	new->stamp = put->stamp;
	new->reversed = result == WEIR_FLOW_THERE && put->how == WEIR_FLOW_BACKWARD;
	if (result == WEIR_FLOW_PUT)
		return weir_flow_finish(new) ? WEIR_FLOW_REFUSED : WEIR_FLOW_OPENED;
	if (new->own && (result != WEIR_FLOW_THERE || put->twin != new->alias))
		weir_flow_remove(new->alias);
	if (result != WEIR_FLOW_THERE)
		return WEIR_FLOW_REFUSED;
	if (put->kind == WEIR_FLOW_ROW)
		return WEIR_FLOW_FOUND;
	new->other = 1; /* the tuple is the translated one of another flow */
	new->place = put->twin >> 32;
	new->stamp = put->twin;
	return put->twin ? WEIR_FLOW_FOUND : WEIR_FLOW_REFUSED;
}

/*
 * Opens a flow; returns enum weir_flow_opened. The translated tuple is claimed first, so that replies can never
 * match another flow; writing the row of the original tuple decides which of several CPUs opens it. After
 * OPENED and FOUND weir_flow_at() returns the flow, which may have the translation that another CPU chose.
 */
__noinline int weir_flow_open(struct weir_flow_new *new)
{
	struct weir_flow_owner *count;
	int result = WEIR_FLOW_OPENED;

	if (!new)
		return WEIR_FLOW_REFUSED;
	new->alias = 0;
	new->own = 0;
	new->other = 0;
	if (new->translated)
		result = weir_flow_claim(new);
	if (result == WEIR_FLOW_OPENED)
		result = weir_flow_settle(new);
	count = weir_flow_owner_of(new->owner);
	if (count && result == WEIR_FLOW_OPENED)
		__sync_fetch_and_add(&count->opened, 1);
	if (count && result == WEIR_FLOW_TAKEN)
		__sync_fetch_and_add(&count->taken, 1);
	return result;
}

/*
 * The flow that weir_flow_open() has opened or found. Its direction is as weir_flow_find() gives it: both ends may
 * have opened the flow at the same time. 0: it is gone.
 */
WEIR_INLINE struct weir_flow *weir_flow_at(const struct weir_flow_new *new, struct weir_flow_match *match)
{
	*match = (struct weir_flow_match){};
	if (weir_flow_follow(weir_flow_twin(new->place, new->stamp), match))
		match->flow = 0;
	match->reversed = new->reversed;
	match->translated = new->other;
	return match->flow;
}

/* Ends a flow and its alias. */
WEIR_INLINE void weir_flow_end(const struct weir_flow_match *match)
{
	__u64 twin = *(volatile __u64 *)&match->flow->twin;

	if (weir_flow_remove(weir_flow_twin(match->place, match->stamp)) && twin)
		weir_flow_remove(twin);
}

/*
 * Records that later fragments of this datagram belong to the flow. They find it by the datagram's
 * identification for the timeout of WEIR_FLOW_FRAGMENTS. Fragments that arrive before the first one find
 * nothing. A datagram that an ICMP error quotes is refused: it may be forged. Returns 0, or a negative number.
 */
WEIR_INLINE int weir_flow_expect(const struct weir_flow_match *match, const struct weir_flow_packet *packet, __u32 now)
{
	__u32 zero = 0;
	struct weir_flow_new *new = bpf_map_lookup_elem(&weir_flow_scratch, &zero);
	struct weir_flow_put *put;

	if (!new || packet->part != WEIR_FLOW_HEAD || packet->error)
		return -1;
	put = &new->put;
	__builtin_memset(&put->row, 0, sizeof(put->row));
	put->row.original = packet->tuple;
	weir_flow_datagram(&put->row.original, packet->datagram);
	put->row.translated = match->flow->original;
	put->row.state = WEIR_FLOW_FRAGMENTS;
	put->row.kind = WEIR_FLOW_DATAGRAM;
	put->row.ends = (match->reversed ? WEIR_FLOW_REVERSED : 0) | (match->translated ? WEIR_FLOW_AFTER : 0);
	put->row.twin = weir_flow_twin(match->place, match->stamp);
	put->row.opened = now;
	put->owner = match->bucket->owner[weir_flow_way(match->place)];
	put->now = now;
	put->replace = WEIR_FLOW_ANY;
	if (weir_flow_put(put))
		return -1;
	weir_flow_succeed(put->twin, 0);
	return 0;
}
