/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Verdicts. A function ends in exactly one of: weir_next, weir_forward,
 * weir_stack, weir_up, weir_drop, weir_split, weir_shape, weir_recirculate;
 * weir_clone may come before it.
 */
#pragma once
#include "weir.h"

#define WEIR_INLINE static __always_inline
#define weir_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Read and write a field of struct weir_meta. Assembly, because clang likes to
 * keep skb + 48 in a register and the verifier wants constant offsets from the
 * context itself.
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

/* Whose rows to use, and the port that the packet came in by (for a chain: the chain's port). */
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

/* First hop of a port's egress chain. */
WEIR_INLINE __u32 weir_out(__u32 port)
{
	return port * WEIR_PORT_HOPS + WEIR_CHAIN_HOPS;
}

/* True in a read-only run: write no map, send nothing. */
WEIR_INLINE int weir_tracing(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_TRACE;
}

/* True when this hop has just got its packet back from a shaping device. */
WEIR_INLINE int weir_resumed(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_RESUMED;
}

/* True when this hop has just got its packet back from a delaying device. */
WEIR_INLINE int weir_held(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_HELD;
}

/*
 * True once packets have the wire's size, which holds until the end of this run;
 * if not, the function returns weir_split(skb). All packets of a port should take
 * that way, small ones too: else they overtake the segments of large ones.
 */
WEIR_INLINE int weir_wire(struct __sk_buff *skb)
{
	__u32 state = weir_get(skb, state);

	if (!(state & (WEIR_META_WIRE | WEIR_META_RESUMED | WEIR_META_TRACE)))
		return 0;
	weir_set(skb, state, state | WEIR_META_WIRE);
	return 1;
}

/* True while an instance's lease lasts. Without a row it has ended. */
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

WEIR_INLINE void weir_trace_add(struct __sk_buff *skb, __u32 id, const struct weir_hop *hop, __u8 op, __u8 reason)
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

/*
 * Copies the packet's first bytes, `size` at most. The barrier puts the length into a register of its own: the verifier
 * of Linux 6.1 loses a bound that was checked on a copy of a spilled value.
 */
WEIR_INLINE long weir_head(struct __sk_buff *skb, void *to, const __u32 size)
{
	__u32 len = skb->len;

	barrier_var(len);
	if (len < 14)
		return -1;
	if (len > size)
		len = size;
	return bpf_skb_load_bytes(skb, 0, to, len);
}

/*
 * Ends a packet: it is lost, its copy is on its way, or userspace has it. Local TCP is not told: on a device's egress
 * TC_ACT_SHOT returns an error to the sender, which would hold the packet back. Such a packet is sent to the recirculation
 * pair, which discards it.
 */
WEIR_INLINE int weir_gone(struct __sk_buff *skb)
{
	struct weir_config *config = weir_configuration();

	if (!(weir_get(skb, state) & WEIR_META_LEAVING) || !skb->sk || !config)
		return TC_ACT_SHOT;
	/* assembly for the same reason as in weir_set */
	asm volatile("*(u32 *)(%0 + %2) = %1"
		     :
		     : "r"(skb), "r"(WEIR_MARK_GONE), "i"(__builtin_offsetof(struct __sk_buff, mark))
		     : "memory");
	return bpf_redirect(config->recirc_ifindex, 0);
}

/* Tells userspace of a drop, with the packet's first bytes. */
WEIR_INLINE void weir_drop_event(struct __sk_buff *skb, const struct weir_drop_key *key)
{
	struct weir_config *config = weir_configuration();
	struct weir_event *event;

	if (!config || !config->events)
		return;
	event = bpf_ringbuf_reserve(&weir_events, sizeof(*event), 0);
	if (!event)
		return;
	event->time = bpf_ktime_get_ns();
	event->drop = *key;
	event->ifindex = skb->ifindex;
	event->len = skb->len;
	event->reserved = 0;
	__builtin_memset(event->data, 0, sizeof(event->data));
	weir_head(skb, event->data, sizeof(event->data));
	bpf_ringbuf_submit(event, 0);
}

/*
 * Counts a drop, and tells of it. Gives no verdict: a packet may go on as another, an ICMP error say.
 *
 * @rule: which of the instance's rules decided; 0: none
 */
WEIR_INLINE void weir_count_drop_by(struct __sk_buff *skb, enum weir_drop_reason reason, __u32 rule)
{
	struct weir_drop_key key = {
		.port = weir_port(skb),
		.instance = weir_instance(skb),
		.rule = rule,
		.reason = reason,
		.direction = weir_chain(skb),
	};
	struct weir_count *count, first = {};

	if (weir_unlikely(weir_tracing(skb))) {
		weir_trace_add(skb, weir_get(skb, hop), 0, WEIR_OP_DOWN, reason);
		return;
	}
	count = bpf_map_lookup_elem(&weir_drops, &key);
	if (!count) {
		bpf_map_update_elem(&weir_drops, &key, &first, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&weir_drops, &key);
	}
	if (count)
		weir_count_add(count, skb);
	weir_drop_event(skb, &key);
}

WEIR_INLINE void weir_count_drop(struct __sk_buff *skb, enum weir_drop_reason reason)
{
	weir_count_drop_by(skb, reason, 0);
}

WEIR_INLINE int weir_drop_by(struct __sk_buff *skb, enum weir_drop_reason reason, __u32 rule)
{
	weir_count_drop_by(skb, reason, rule);
	return weir_gone(skb);
}

WEIR_INLINE int weir_drop(struct __sk_buff *skb, enum weir_drop_reason reason)
{
	return weir_drop_by(skb, reason, 0);
}

#include "course.h"

/* Gives a packet what it takes across a Weir device. 0, or -1: it has been round too often. */
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

/* Come back at a spot with a fresh budget of tail calls; cb is lost. */
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

/* Come back at hop id. */
WEIR_INLINE int weir_recirculate(struct __sk_buff *skb, __u32 id)
{
	return weir_go_round(skb, weir_spot(skb, id));
}

/* The key of a row of weir_tunnels, and on to the device. */
WEIR_INLINE int weir_tunnel_deliver(struct __sk_buff *skb, const struct weir_hop *hop, __u32 id)
{
	struct weir_tunnel_key row = { .tunnel = id };
	struct weir_tunnel *tunnel = bpf_map_lookup_elem(&weir_tunnels, &row);
	struct bpf_tunnel_key key = {};
	__u64 flags = BPF_F_ZERO_CSUM_TX;

	if (!tunnel || !tunnel->family)
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	key.tunnel_id = tunnel->vni;
	key.tunnel_ttl = 64;
	if (tunnel->family == 6) {
		__builtin_memcpy(key.remote_ipv6, tunnel->remote, 16);
		flags = BPF_F_TUNINFO_IPV6; /* a zero UDP checksum is not for IPv6 */
	} else {
		__builtin_memcpy(&key.remote_ipv4, tunnel->remote, 4);
		key.remote_ipv4 = bpf_ntohl(key.remote_ipv4);
	}
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags))
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	return bpf_redirect(hop->target, 0);
}

/*
 * Returns a tapped packet to its device, in this direction (0 or BPF_F_INGRESS) unless the hop is turned. Never detoured:
 * UNSPEC, it is still there. Detoured: reinjected with the BACK mark.
 */
WEIR_INLINE int weir_back(struct __sk_buff *skb, const struct weir_hop *hop, __u64 direction)
{
	if (hop->flags & WEIR_HOP_TURNED)
		direction ^= BPF_F_INGRESS;
	if (!(weir_get(skb, state) & WEIR_META_AWAY))
		return TC_ACT_UNSPEC;
	skb->mark = WEIR_MARK_BACK;
	skb->tc_index = WEIR_BACK_INDEX;
	skb->priority = 0; /* was a class of the shaping device's */
	return bpf_redirect(hop->target, direction);
}

WEIR_INLINE int weir_deliver(struct __sk_buff *skb, const struct weir_hop *hop, __u32 id)
{
	__u32 port = id / WEIR_PORT_HOPS, tunnel = weir_get(skb, tunnel);
	struct weir_port_count *count;

	weir_set(skb, hop, id | WEIR_CHAIN_HOPS);
	weir_set(skb, instance, 0);
	if (weir_unlikely(hop->op == WEIR_OP_DOWN))
		return weir_drop(skb, WEIR_DROP_PORT_DOWN);
	if (weir_unlikely(weir_tracing(skb)))
		return TC_ACT_SHOT;
	if (hop->op == WEIR_OP_TUNNEL && !tunnel) {
		/* lost on a detour: the port's function looks where the packet goes, and is asked no more than once */
		if (weir_get(skb, state) & WEIR_META_ASKED)
			return weir_drop(skb, WEIR_DROP_DELIVERY);
		weir_set(skb, state, weir_get(skb, state) | WEIR_META_ASKED);
		weir_set(skb, instance, hop->instance);
		weir_set(skb, hop, id);
		bpf_tail_call(skb, &weir_functions, hop->slot);
		return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
	}
	count = bpf_map_lookup_elem(&weir_ports, &port);
	if (count)
		weir_count_add(&count->tx, skb);
	switch (hop->op) {
	case WEIR_OP_PEER:
		/* what was for another MAC where it entered (a tunnel, a shaping pair) would be nobody's in the pod */
		if (skb->pkt_type != 0 /* PACKET_HOST */)
			bpf_skb_change_type(skb, 0);
		return bpf_redirect_peer(hop->target, 0);
	case WEIR_OP_REDIRECT:
		return bpf_redirect(hop->target, 0);
	case WEIR_OP_RECEIVE:
		return bpf_redirect(hop->target, BPF_F_INGRESS);
	case WEIR_OP_NEIGH:
		return bpf_redirect_neigh(hop->target, 0, 0, 0);
	case WEIR_OP_TUNNEL:
		return weir_tunnel_deliver(skb, hop, tunnel);
	case WEIR_OP_STACK:
		return TC_ACT_UNSPEC;
	case WEIR_OP_BACK:
		return weir_back(skb, hop, 0);
	}
	return weir_drop(skb, WEIR_DROP_DELIVERY);
}

/* No tail calls are left: go on at hop id, or where the packet is on its course, after a recirculation. */
WEIR_INLINE int weir_go_on_later(struct __sk_buff *skb, __u32 id)
{
	__u32 place = weir_get(skb, place);

	if (!place)
		return weir_recirculate(skb, id);
	weir_set(skb, hop, id);
	return weir_go_round(skb, weir_here(skb));
}

/* Run hop id: the only place where a packet moves on. */
WEIR_INLINE int weir_enter(struct __sk_buff *skb, __u32 id)
{
	struct weir_hop *hop = weir_hop_row(skb, id);

	if (hop && hop->op == WEIR_OP_JUMP) {
		id = hop->target;
		hop = weir_hop_row(skb, id);
		weir_set(skb, place, 0); /* another chain */
	}
	if (!hop)
		return weir_drop(skb, WEIR_DROP_PORT_DOWN);
	if (weir_unlikely(weir_tracing(skb)) && hop->op != WEIR_OP_DOWN)
		weir_trace_add(skb, id, hop, hop->op, 0);
	if (hop->op != WEIR_OP_CALL)
		return weir_deliver(skb, hop, id);
	if ((weir_get(skb, state) & WEIR_META_CALLS) >= WEIR_MAX_CALLS)
		return weir_go_on_later(skb, id);
	weir_set(skb, state, weir_get(skb, state) + 1);
	weir_set(skb, hop, id);
	weir_set(skb, instance, hop->instance);
	bpf_tail_call(skb, &weir_functions, hop->slot);
	return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
}

/* A transparent function has done its part: on to the next hop of the chain. */
WEIR_INLINE int weir_next(struct __sk_buff *skb)
{
	__u32 place = weir_get(skb, place), hop = weir_get(skb, hop), id = hop + 1;

	weir_set(skb, state, weir_get(skb, state) & ~(WEIR_META_RESUMED | WEIR_META_HELD));
	if (weir_unlikely(place))
		id = weir_find_hop(skb, hop & ~WEIR_PLACE_AT, place >> WEIR_PLACE_COURSE_SHIFT, (place & WEIR_PLACE_AT) + 1);
	return weir_enter(skb, id);
}

/*
 * A standard function sends the packet out of one of its ports.
 *
 * @tunnel: row of weir_tunnels that it leaves by, if the port has tunnels
 */
WEIR_INLINE int weir_forward_to(struct __sk_buff *skb, __u32 port, __u32 tunnel)
{
	weir_set(skb, state, weir_get(skb, state) & ~(WEIR_META_RESUMED | WEIR_META_HELD));
	weir_set(skb, place, 0);
	weir_set(skb, tunnel, tunnel);
	return weir_enter(skb, weir_out(port));
}

WEIR_INLINE int weir_forward(struct __sk_buff *skb, __u32 port)
{
	return weir_forward_to(skb, port, 0);
}

/* True when the packet is on its way out of this port, and asks for the tunnel: weir_forward_by. */
WEIR_INLINE int weir_asked(struct __sk_buff *skb)
{
	return weir_get(skb, state) & WEIR_META_ASKED;
}

/* The answer: the row of weir_tunnels. */
WEIR_INLINE int weir_forward_by(struct __sk_buff *skb, __u32 tunnel)
{
	weir_set(skb, tunnel, tunnel);
	return weir_enter(skb, weir_get(skb, hop));
}

/* Also send a copy round to a spot. 0, or a negative error. */
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

/* Also send a copy out of a port, through its egress chain. 0, or a negative error. */
WEIR_INLINE int weir_clone(struct __sk_buff *skb, __u32 port)
{
	return weir_clone_to(skb, weir_spot(skb, weir_out(port)));
}

/* Also send a copy on to the next hop of this chain. 0, or a negative error. */
WEIR_INLINE int weir_clone_next(struct __sk_buff *skb)
{
	struct weir_spot here = weir_here(skb);

	here.hop++;
	return weir_clone_to(skb, here);
}

/* Leave the packet to the stack of the device that it came from. */
WEIR_INLINE int weir_stack(struct __sk_buff *skb)
{
	if (weir_unlikely(weir_tracing(skb)))
		weir_trace_add(skb, weir_get(skb, hop), 0, WEIR_OP_STACK, 0);
	return TC_ACT_UNSPEC;
}

#include "upcall.h"
#include "detour.h"
