/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The wrapper into which every user's program is linked: a transparent function in a port's chain. The program
 * is a function that returns pass or drop. The wrapper carries out the verdict, and protects all packet state
 * that belongs to the panel.
 *
 * The object has no licence section: a linked object has the program's licence, which decides what helpers it
 * may call.
 */
#include "link.h"

struct weir_custom_key {
	__u32 instance;
};

/* Verdicts of the program. Packets on the wire, bytes at layer 3. */
struct weir_custom_use {
	__u64 packets;
	__u64 bytes;
	__u64 dropped;
	__u64 other; /* verdicts other than TC_ACT_OK and TC_ACT_SHOT: the packet passes */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_custom_key);
	__type(value, struct weir_custom_use);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_custom_use SEC(".maps");

/*
 * The fields of the packet's context that a program can write. They are saved, and restored after it: none of
 * them is the program's to change.
 */
struct context {
	struct weir_meta meta;
	__u32 mark;
	__u32 priority;
	__u32 queue_mapping;
	__u32 tc_index;
	__u64 tstamp;
};

/* Reads one field. clang would combine the reads of two neighbouring fields, which the verifier refuses. */
#define read_field(skb, field)                                                          \
	({                                                                              \
		__u32 __value;                                                          \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                   \
			     : "=r"(__value)                                            \
			     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, field))); \
		__value;                                                                \
	})

/*
 * Replaced by the user's program when that is linked in. A global function, which the verifier checks by
 * itself.
 */
__weak __noinline int weir_program(struct __sk_buff *skb)
{
	int verdict = TC_ACT_OK;

	barrier_var(verdict);
	return skb->len ? verdict : TC_ACT_OK;
}

WEIR_INLINE void keep(struct __sk_buff *skb, struct context *context)
{
	context->meta.hop = weir_get(skb, hop);
	context->meta.instance = weir_get(skb, instance);
	context->meta.state = weir_get(skb, state);
	context->meta.place = weir_get(skb, place);
	context->meta.tunnel = weir_get(skb, tunnel);
	context->mark = read_field(skb, mark);
	context->priority = read_field(skb, priority);
	context->queue_mapping = read_field(skb, queue_mapping);
	context->tc_index = read_field(skb, tc_index);
	context->tstamp = skb->tstamp;
}

WEIR_INLINE void restore(struct __sk_buff *skb, const struct context *context)
{
	weir_set(skb, hop, context->meta.hop);
	weir_set(skb, instance, context->meta.instance);
	weir_set(skb, state, context->meta.state);
	weir_set(skb, place, context->meta.place);
	weir_set(skb, tunnel, context->meta.tunnel);
	skb->mark = context->mark;
	skb->priority = context->priority;
	skb->queue_mapping = context->queue_mapping;
	skb->tc_index = context->tc_index;
	if (skb->tstamp != context->tstamp)
		skb->tstamp = context->tstamp; /* writing it, even unchanged, changes its clock type */
}

WEIR_INLINE struct weir_custom_use *find_use(struct weir_custom_key *key)
{
	struct weir_custom_use *use = bpf_map_lookup_elem(&weir_custom_use, key), first = {};

	if (use)
		return use;
	bpf_map_update_elem(&weir_custom_use, key, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&weir_custom_use, key);
}

SEC("tc")
int weir_custom(struct __sk_buff *skb)
{
	struct weir_custom_key key = { .instance = weir_instance(skb) };
	__u32 packets = skb->gso_segs ? skb->gso_segs : 1, bytes = skb->len - ETH_HLEN;
	struct weir_custom_use *use;
	struct context context;
	int verdict;

	/* a program may write its maps, which a read-only run must not do */
	if (weir_tracing(skb) || weir_link_control(skb))
		return weir_next(skb);
	keep(skb, &context);
	verdict = weir_program(skb);
	restore(skb, &context);
	use = find_use(&key);
	if (use) {
		__sync_fetch_and_add(&use->packets, packets);
		__sync_fetch_and_add(&use->bytes, bytes);
		if (verdict == TC_ACT_SHOT)
			__sync_fetch_and_add(&use->dropped, packets);
		else if (verdict != TC_ACT_OK)
			__sync_fetch_and_add(&use->other, packets);
	}
	return verdict == TC_ACT_SHOT ? weir_drop(skb, WEIR_DROP_CUSTOM) : weir_next(skb);
}
