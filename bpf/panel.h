/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Verdicts. A function ends in exactly one of: weir_next, weir_forward,
 * weir_stack, weir_up, weir_drop, weir_split, weir_shape, weir_recirculate;
 * weir_clone may come before it.
 */
#pragma once
#include "weir.h"

#define WEIR_INLINE static __always_inline
/* For code that few packets run: a single copy in a program, so that the usual path stays short. */
#define WEIR_RARE static __noinline
#define weir_likely(x) __builtin_expect(!!(x), 1)
#define weir_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Read and write a field of struct weir_meta. In assembly, because clang may keep skb + 48 in a register, and
 * the verifier only accepts constant offsets from the context itself.
 */
#define weir_get(skb, field)                                                            \
	({                                                                              \
		__u32 __value;                                                          \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                   \
			     : "=r"(__value)                                            \
			     : "r"(skb), "i"(WEIR_CB + __builtin_offsetof(struct weir_meta, field))); \
		__value;                                                                \
	})
#define weir_set(skb, field, value)                                                     \
	do {                                                                            \
		__u32 __value = (value);                                                \
		asm volatile("*(u32 *)(%0 + %2) = %1"                                   \
			     :                                                          \
			     : "r"(skb), "r"(__value), "i"(WEIR_CB + __builtin_offsetof(struct weir_meta, field)) \
			     : "memory");                                               \
	} while (0)
#define WEIR_CB __builtin_offsetof(struct __sk_buff, cb)

/*
 * Copies bytes of the packet. Linear bytes, as headers nearly always are, are read directly, which takes a tenth of
 * the helper's time. Returns 0, or a negative error if the packet is shorter.
 *
 * @offset: from the start of the frame
 * @size: a constant
 */
#define WEIR_LINEAR 1024 /* beyond it the helper is used: the verifier needs a bound */
WEIR_INLINE long weir_load(struct __sk_buff *skb, __u32 offset, void *to, const __u32 size)
{
	void *from = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (!__builtin_constant_p(offset))
		barrier_var(offset);
	from += offset;
	if (weir_unlikely(offset >= WEIR_LINEAR || from + size > end))
		return bpf_skb_load_bytes(skb, offset, to, size);
	/* clang would copy byte by byte; unaligned words are allowed */
	if (size % 4 == 0)
		__builtin_memcpy(to, __builtin_assume_aligned(from, 4), size);
	else if (size % 2 == 0)
		__builtin_memcpy(to, __builtin_assume_aligned(from, 2), size);
	else
		__builtin_memcpy(to, from, size);
	return 0;
}

/*
 * The instance whose rows the function uses, and the port that the packet came in by (in a chain: the chain's
 * port).
 */
WEIR_INLINE __u32 weir_instance(struct __sk_buff *skb)
{
	return weir_get(skb, instance);
}
WEIR_INLINE __u32 weir_port(struct __sk_buff *skb)
{
	return weir_get(skb, hop) / WEIR_PORT_HOPS;
}
WEIR_INLINE enum weir_direction weir_chain(struct __sk_buff *skb)
{
	return weir_get(skb, hop) / WEIR_CHAIN_HOPS & 1;
}

/* The first hop of a port's egress chain. */
WEIR_INLINE __u32 weir_out(__u32 port)
{
	return port * WEIR_PORT_HOPS + WEIR_CHAIN_HOPS;
}

/* True in a read-only run, which must not write maps or send packets. */
WEIR_INLINE int weir_tracing(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_TRACE;
}

/* True if this hop's packet has just returned from a shaping or splitting device. */
WEIR_INLINE int weir_resumed(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_RESUMED;
}

/* True if this hop's packet has just returned from a delaying device. */
WEIR_INLINE int weir_held(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_HELD;
}

/*
 * True if packets have wire size, for the rest of this run. If not, the function returns weir_split(skb). All
 * packets of a port should be split that way, including small ones, which would otherwise overtake segments of
 * large ones.
 */
WEIR_INLINE int weir_wire(struct __sk_buff *skb)
{
	__u32 state = weir_get(skb, state);

	if (!(state & (WEIR_META_WIRE | WEIR_META_RESUMED | WEIR_META_TRACE)))
		return 0;
	weir_set(skb, state, state | WEIR_META_WIRE);
	return 1;
}

/* True while an instance's lease lasts. Without a row the lease has ended. */
WEIR_INLINE int weir_leased(__u32 instance)
{
	struct weir_lease_key key = { .instance = instance };
	__u64 *expires = bpf_map_lookup_elem(&weir_leases, &key);

	return expires && *expires > bpf_ktime_get_ns();
}

WEIR_INLINE struct weir_config *weir_configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_config, &zero);
}

WEIR_RARE void weir_trace_add(struct __sk_buff *skb, __u32 id, const struct weir_hop *hop, __u8 op, __u8 reason)
{
	__u32 zero = 0;
	struct weir_trace *trace = bpf_map_lookup_elem(&weir_traces, &zero);
	struct weir_trace_step *step;

	if (!trace || trace->steps >= WEIR_TRACE_STEPS)
		return;
	step = &trace->step[trace->steps++ % WEIR_TRACE_STEPS];
	step->hop = id;
	step->op = op;
	step->reason = reason;
	step->instance = 0;
	step->port = id / WEIR_PORT_HOPS;
	step->slot = 0;
	step->target = 0;
	step->tunnel = weir_get(skb, tunnel);
	if (!hop)
		return;
	step->instance = hop->instance;
	step->slot = hop->slot;
	step->target = hop->target;
}

WEIR_INLINE void weir_count_add(struct weir_count *count, struct __sk_buff *skb)
{
	count->packets += skb->gso_segs ? skb->gso_segs : 1;
	count->bytes += skb->len;
}

#include "lost.h"
#include "course.h"

/* Sets what a packet carries across one of Weir's devices. Returns 0, or -1: too many recirculations. */
WEIR_INLINE int weir_depart(struct __sk_buff *skb, struct weir_spot to, __u32 flags)
{
	__u32 rounds = (weir_get(skb, state) & WEIR_META_ROUNDS) / WEIR_META_ROUND + 1;

	if (rounds > WEIR_MAX_ROUNDS)
		return -1;
	flags |= WEIR_MARK_COURSE | (__u32)WEIR_MARK_ABI << WEIR_MARK_ABI_SHIFT;
	skb->mark = (to.hop & WEIR_MARK_HOP) | rounds << WEIR_MARK_ROUNDS_SHIFT | flags;
	skb->tc_index = to.course;
	return 0;
}

/* Recirculates the packet to a spot, with a new budget of tail calls. skb->cb is lost. */
WEIR_INLINE int weir_go_round(struct __sk_buff *skb, struct weir_spot to)
{
	struct weir_config *config = weir_configuration();

	if (!config || weir_depart(skb, to, 0))
		return weir_drop(skb, WEIR_DROP_LOOP);
	if (weir_unlikely(weir_tracing(skb))) {
		weir_trace_add(skb, to.hop, 0, WEIR_OP_JUMP, 0);
		return TC_ACT_SHOT;
	}
	return bpf_redirect(config->recirc_ifindex, 0);
}

/* Recirculates the packet to hop id. */
WEIR_INLINE int weir_recirculate(struct __sk_buff *skb, __u32 id)
{
	return weir_go_round(skb, weir_spot(skb, id));
}

#include "deliver.h"

/*
 * Continues at hop id, or at the packet's position on its course, after a recirculation: no tail calls are
 * left.
 */
WEIR_RARE int weir_go_on_later(struct __sk_buff *skb, __u32 id)
{
	__u32 place = weir_get(skb, place);

	if (!place)
		return weir_recirculate(skb, id);
	weir_set(skb, hop, id);
	return weir_go_round(skb, weir_here(skb));
}

/*
 * Calls a function. Returns if the slot is empty. On x86 a tail call of a constant slot is a direct jump; any other
 * goes through a retpoline and takes four times as long. A node's first functions have the first slots.
 */
WEIR_INLINE void weir_call(struct __sk_buff *skb, __u32 slot)
{
	switch (slot) {
	case 1:
		bpf_tail_call_static(skb, &weir_functions, 1);
		break;
	case 2:
		bpf_tail_call_static(skb, &weir_functions, 2);
		break;
	case 3:
		bpf_tail_call_static(skb, &weir_functions, 3);
		break;
	case 4:
		bpf_tail_call_static(skb, &weir_functions, 4);
		break;
	default:
		bpf_tail_call(skb, &weir_functions, slot);
	}
}

/* Runs hop id with the packet's state. The only place where a packet moves on. */
WEIR_INLINE int weir_enter(struct __sk_buff *skb, __u32 id, __u32 state)
{
	struct weir_hop *hop = weir_hop_row(id, state);

	if (weir_unlikely(hop && hop->op == WEIR_OP_JUMP)) {
		id = hop->target;
		hop = weir_hop_row(id, state);
		weir_set(skb, place, 0); /* entering another chain */
	}
	if (weir_unlikely(!hop))
		return weir_drop(skb, WEIR_DROP_PORT_DOWN);
	if (weir_unlikely(state & WEIR_META_TRACE) && hop->op != WEIR_OP_DOWN)
		weir_trace_add(skb, id, hop, hop->op, 0);
	if (hop->op != WEIR_OP_CALL)
		return weir_deliver(skb, hop, id, state);
	if (weir_unlikely((state & WEIR_META_CALLS) >= WEIR_MAX_CALLS))
		return weir_go_on_later(skb, id);
	weir_set(skb, state, state + 1);
	weir_set(skb, hop, id);
	weir_set(skb, instance, hop->instance);
	weir_call(skb, hop->slot);
	return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
}

/* State of a packet that continues at another hop. */
WEIR_INLINE __u32 weir_onward(struct __sk_buff *skb)
{
	return weir_get(skb, state) & ~(WEIR_META_RESUMED | WEIR_META_HELD);
}

/* Verdict of a transparent function: continue at the next hop of the chain. */
WEIR_INLINE int weir_next(struct __sk_buff *skb)
{
	__u32 place = weir_get(skb, place), hop = weir_get(skb, hop), id = hop + 1;

	if (weir_unlikely(place))
		id = weir_find_hop(skb, hop & ~WEIR_PLACE_AT, place >> WEIR_PLACE_COURSE_SHIFT, (place & WEIR_PLACE_AT) + 1);
	return weir_enter(skb, id, weir_onward(skb));
}

/*
 * Verdict of a standard function: send the packet through one of its ports.
 *
 * @tunnel: row of weir_tunnels by which it leaves, if the port has tunnels
 */
WEIR_INLINE int weir_forward_to(struct __sk_buff *skb, __u32 port, __u32 tunnel)
{
	weir_set(skb, place, 0);
	weir_set(skb, tunnel, tunnel);
	return weir_enter(skb, weir_out(port), weir_onward(skb));
}

WEIR_INLINE int weir_forward(struct __sk_buff *skb, __u32 port)
{
	return weir_forward_to(skb, port, 0);
}

/*
 * True if the packet is leaving by this port and needs its tunnel: the function answers with weir_forward_by.
 */
WEIR_INLINE int weir_asked(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_ASKED;
}

/* Sets the row of weir_tunnels that weir_asked() was for. */
WEIR_INLINE int weir_forward_by(struct __sk_buff *skb, __u32 tunnel)
{
	weir_set(skb, tunnel, tunnel);
	return weir_enter(skb, weir_get(skb, hop), weir_get(skb, state));
}

/* Also sends a copy to a spot. Returns 0, or a negative error. */
WEIR_INLINE int weir_clone_to(struct __sk_buff *skb, struct weir_spot to)
{
	struct weir_config *config = weir_configuration();
	__u32 mark = skb->mark, tc_index = skb->tc_index;
	int error;

	if (weir_unlikely(weir_tracing(skb))) {
		weir_trace_add(skb, to.hop, 0, WEIR_OP_REDIRECT, 0);
		return 0;
	}
	if (!config || weir_depart(skb, to, 0))
		return -1;
	error = bpf_clone_redirect(skb, config->recirc_ifindex, 0);
	skb->mark = mark;
	skb->tc_index = tc_index;
	return error;
}

/* Also sends a copy through a port, by its egress chain. Returns 0, or a negative error. */
WEIR_INLINE int weir_clone(struct __sk_buff *skb, __u32 port)
{
	return weir_clone_to(skb, weir_spot(skb, weir_out(port)));
}

/* Also sends a copy to the next hop of this chain. Returns 0, or a negative error. */
WEIR_INLINE int weir_clone_next(struct __sk_buff *skb)
{
	struct weir_spot here = weir_here(skb);

	here.hop++;
	return weir_clone_to(skb, here);
}

/* Leaves the packet to the stack of the device that it came from. */
WEIR_INLINE int weir_stack(struct __sk_buff *skb)
{
	if (weir_unlikely(weir_tracing(skb)))
		weir_trace_add(skb, weir_get(skb, hop), 0, WEIR_OP_STACK, 0);
	return TC_ACT_UNSPEC;
}

#include "upcall.h"
#include "detour.h"
