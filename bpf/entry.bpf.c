/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Entry programs: packets from devices of Weir's or another network, and packets that return from Weir's own
 * devices.
 */
#include "host.h"

/* Initializes skb->cb, which has the values of another layer or an earlier run. */
WEIR_INLINE void weir_begin(struct __sk_buff *skb, __u32 hop, __u32 state)
{
	weir_set(skb, hop, hop);
	weir_set(skb, instance, 0);
	weir_set(skb, state, state);
	weir_set(skb, place, 0);
	weir_set(skb, tunnel, 0);
}

/* The port of the packet's device in a generation; 0: none. */
WEIR_INLINE __u32 weir_port_of(struct __sk_buff *skb, __u32 gen)
{
	struct weir_device_key key = { .ifindex = skb->ifindex, .gen = gen };
	__u32 row = key.ifindex % WEIR_NEAR * 2 + gen;
	struct weir_near *near = bpf_map_lookup_elem(&weir_near, &row);
	struct weir_device *device;

	if (weir_likely(near && near->ifindex == key.ifindex && near->port))
		return near->port;
	device = bpf_map_lookup_elem(&weir_devices, &key);
	return device ? device->port : 0;
}

/* On a device's ingress: finds the port and starts its ingress chain. */
SEC("tc")
int weir_entry(struct __sk_buff *skb)
{
	struct weir_config *config = weir_configuration();
	__u32 gen = config ? config->gen & 1 : 0, state = gen * WEIR_META_GEN;
	struct weir_port_count *count;
	__u32 port = weir_port_of(skb, gen);

	weir_begin(skb, 0, state);
	if (weir_unlikely(!port))
		return weir_drop(skb, WEIR_DROP_NO_PORT);
	count = bpf_map_lookup_elem(&weir_ports, &port);
	if (count)
		weir_count_add(&count->rx, skb);
	return weir_enter(skb, port * WEIR_PORT_HOPS, state);
}

/* Whether the packet has passed its chains already and is back on its device. Clears the mark. */
WEIR_INLINE int weir_came_back(struct __sk_buff *skb)
{
	if (skb->mark != WEIR_MARK_BACK || skb->tc_index != WEIR_BACK_INDEX)
		return 0;
	skb->mark = 0;
	skb->tc_index = 0;
	return 1;
}

/*
 * A tap, on a device that another network continues to use. Packets without a port, and packets that have
 * passed their chains, are left to the programs after this one. Only chains drop packets.
 */
WEIR_INLINE int weir_tap_at(struct __sk_buff *skb, enum weir_direction direction)
{
	struct weir_config *config = weir_configuration();
	struct weir_port_count *count;
	__u32 port, state;

	if (weir_came_back(skb) || !config)
		return TC_ACT_UNSPEC;
	port = weir_port_of(skb, config->gen & 1);
	if (!port)
		return TC_ACT_UNSPEC;
	state = (config->gen & 1 ? WEIR_META_GEN : 0) | (direction == WEIR_EGRESS ? WEIR_META_LEAVING : 0);
	weir_begin(skb, 0, state);
	if (direction == WEIR_INGRESS) {
		count = bpf_map_lookup_elem(&weir_ports, &port);
		if (count)
			weir_count_add(&count->rx, skb);
	}
	return weir_enter(skb, port * WEIR_PORT_HOPS + direction * WEIR_CHAIN_HOPS, state);
}

/* The pod's egress. */
SEC("tc")
int weir_tap_ingress(struct __sk_buff *skb)
{
	return weir_tap_at(skb, WEIR_INGRESS);
}

/* The pod's ingress. */
SEC("tc")
int weir_tap_egress(struct __sk_buff *skb)
{
	return weir_tap_at(skb, WEIR_EGRESS);
}

/*
 * On a device of the node's own. A host pod's egress enters the ingress chain of its port. weir_cgroups is not
 * generational: a port without hops in this generation means that the packet passes.
 */
WEIR_INLINE int weir_host_at(struct __sk_buff *skb, struct weir_cgroup *found, enum weir_direction chain)
{
	struct weir_config *config = weir_configuration();
	struct weir_port_count *count;
	struct weir_hop *hop;
	__u32 port, id, state;

	if (!found || !config)
		return TC_ACT_UNSPEC;
	port = found->port;
	id = port * WEIR_PORT_HOPS + chain * WEIR_CHAIN_HOPS;
	state = (config->gen & 1 ? WEIR_META_GEN : 0) | (chain == WEIR_INGRESS ? WEIR_META_LEAVING : 0);
	weir_begin(skb, 0, state);
	weir_set(skb, hop, id);
	hop = weir_hop_row(id, state);
	if (!hop || hop->op == WEIR_OP_DOWN)
		return TC_ACT_UNSPEC;
	if (chain == WEIR_INGRESS) {
		count = bpf_map_lookup_elem(&weir_ports, &port);
		if (count)
			weir_count_add(&count->rx, skb);
	}
	return weir_enter(skb, id, state);
}

/* Packets from the node's own sockets. */
SEC("tc")
int weir_host_egress(struct __sk_buff *skb)
{
	if (weir_came_back(skb))
		return TC_ACT_UNSPEC;
	return weir_host_at(skb, weir_sender(skb), WEIR_INGRESS);
}

/* Packets that may be for the node's own sockets. */
SEC("tc")
int weir_host_ingress(struct __sk_buff *skb)
{
	if (weir_came_back(skb))
		return TC_ACT_UNSPEC;
	return weir_host_at(skb, weir_recipient(skb), WEIR_EGRESS);
}

/*
 * The hop at which a returning packet continues in its chain. If the function that sent it away is no longer in
 * the chain, it continues after that position, and no other function takes it for its own returning packet.
 */
WEIR_INLINE __u32 weir_come_back(struct __sk_buff *skb, __u32 id, __u32 course)
{
	struct weir_hop *hop = weir_hop_row(id, weir_get(skb, state));
	__u32 at = id & WEIR_PLACE_AT, found;

	if (hop && hop->course == course)
		return id; /* the chain has not changed */
	found = weir_find_hop(skb, id & ~WEIR_PLACE_AT, course, at);
	if (weir_get(skb, place) != weir_place(course, at))
		weir_set(skb, state, weir_get(skb, state) & ~(WEIR_META_RESUMED | WEIR_META_HELD));
	return found;
}

/*
 * On the far end of Weir's pairs: continues at the place that the packet carries. BPF_PROG_TEST_RUN with
 * WEIR_MARK_TRACE in the mark starts a read-only run at that hop.
 */
SEC("tc")
int weir_resume(struct __sk_buff *skb)
{
	struct weir_config *config = weir_configuration();
	__u32 mark = skb->mark, course = skb->tc_index, id = mark & WEIR_MARK_HOP, zero = 0;
	__u32 abi = mark >> WEIR_MARK_ABI_SHIFT & WEIR_MARK_ABI_BITS;
	__u32 state = (mark >> WEIR_MARK_ROUNDS_SHIFT & 15) * WEIR_META_ROUND | WEIR_META_AWAY;
	struct weir_trace *trace;

	if (mark == WEIR_MARK_GONE)
		return TC_ACT_SHOT;
	if (weir_unlikely(abi != WEIR_MARK_ABI)) {
		bpf_tail_call(skb, &weir_elders, abi);
		weir_begin(skb, 0, WEIR_META_AWAY);
		return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
	}
	skb->mark = 0;
	skb->tc_index = 0;
	if (mark & WEIR_MARK_RESUMED)
		state |= WEIR_META_RESUMED;
	if (mark & WEIR_MARK_HELD)
		state |= WEIR_META_HELD;
	if (config && config->gen & 1)
		state |= WEIR_META_GEN;
	if (weir_unlikely(mark & WEIR_MARK_TRACE)) {
		trace = bpf_map_lookup_elem(&weir_traces, &zero);
		if (!trace)
			return TC_ACT_SHOT;
		trace->steps = 0;
		state |= WEIR_META_TRACE;
	}
	weir_begin(skb, id, state);
	if (!config)
		return weir_drop(skb, WEIR_DROP_NO_PORT);
	if (mark & WEIR_MARK_COURSE)
		id = weir_come_back(skb, id, course);
	return weir_enter(skb, id, weir_get(skb, state));
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
