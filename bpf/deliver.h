/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Terminal hops: delivers a packet that leaves the panel. Part of panel.h. */
#pragma once
#include "panel.h"

/* Sets the tunnel key from a row of weir_tunnels, and sends the packet to the tunnel device. */
WEIR_RARE int weir_tunnel_deliver(struct __sk_buff *skb, const struct weir_hop *hop, __u32 id)
{
	struct weir_tunnel *tunnel = bpf_map_lookup_elem(&weir_tunnels, &id);
	struct bpf_tunnel_key key = {};
	__u64 flags = BPF_F_ZERO_CSUM_TX;

	if (!tunnel || !tunnel->family)
		return weir_undeliverable(skb, WEIR_DROP_DELIVERY);
	key.tunnel_id = tunnel->vni;
	key.tunnel_ttl = 64;
	if (tunnel->family == 6) {
		__builtin_memcpy(key.remote_ipv6, tunnel->remote, 16);
		flags = BPF_F_TUNINFO_IPV6; /* IPv6 needs a UDP checksum */
	} else {
		__builtin_memcpy(&key.remote_ipv4, tunnel->remote, 4);
		key.remote_ipv4 = bpf_ntohl(key.remote_ipv4);
	}
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags))
		return weir_undeliverable(skb, WEIR_DROP_DELIVERY);
	return bpf_redirect(hop->target, 0);
}

/*
 * Returns a tapped packet to its device, in this direction (0 or BPF_F_INGRESS), or in the opposite one if the
 * hop is turned. A packet that was never detoured is still on its device: UNSPEC. A detoured one is reinjected
 * with the BACK mark.
 */
WEIR_INLINE int weir_back(struct __sk_buff *skb, const struct weir_hop *hop, __u64 direction)
{
	if (hop->flags & WEIR_HOP_TURNED)
		direction ^= BPF_F_INGRESS;
	if (!(weir_get(skb, state) & WEIR_META_AWAY))
		return TC_ACT_UNSPEC;
	skb->mark = WEIR_MARK_BACK;
	skb->tc_index = WEIR_BACK_INDEX;
	skb->priority = 0; /* it was a class of the shaping device */
	return bpf_redirect(hop->target, direction);
}

/* Calls the port's function, at most once, for a packet that has lost its tunnel on a detour. The function looks up the destination. */
WEIR_INLINE int weir_ask(struct __sk_buff *skb, const struct weir_hop *hop, __u32 id, __u32 state)
{
	if (state & WEIR_META_ASKED)
		return weir_undeliverable(skb, WEIR_DROP_DELIVERY);
	weir_set(skb, state, state | WEIR_META_ASKED);
	weir_set(skb, instance, hop->instance);
	weir_set(skb, hop, id);
	bpf_tail_call(skb, &weir_functions, hop->slot);
	return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
}

WEIR_INLINE int weir_deliver(struct __sk_buff *skb, const struct weir_hop *hop, __u32 id, __u32 state)
{
	__u32 port = id / WEIR_PORT_HOPS;
	struct weir_port_count *count;

	weir_set(skb, hop, weir_out(port));
	if (weir_unlikely(hop->op == WEIR_OP_DOWN))
		return weir_undeliverable(skb, WEIR_DROP_PORT_DOWN);
	if (weir_unlikely(state & WEIR_META_TRACE))
		return TC_ACT_SHOT;
	if (hop->op == WEIR_OP_TUNNEL && !weir_get(skb, tunnel))
		return weir_ask(skb, hop, id, state);
	count = bpf_map_lookup_elem(&weir_ports, &port);
	if (count)
		weir_count_add(&count->tx, skb);
	if (weir_likely(hop->op == WEIR_OP_PEER)) {
		/*
		 * a packet that entered with another MAC address (through a tunnel or a shaping pair) would not
		 * be accepted in the pod
		 */
		if (weir_unlikely(skb->pkt_type != 0 /* PACKET_HOST */))
			bpf_skb_change_type(skb, 0);
		return bpf_redirect_peer(hop->target, 0);
	}
	switch (hop->op) {
	case WEIR_OP_REDIRECT:
		return bpf_redirect(hop->target, 0);
	case WEIR_OP_RECEIVE:
		return bpf_redirect(hop->target, BPF_F_INGRESS);
	case WEIR_OP_NEIGH:
		return bpf_redirect_neigh(hop->target, 0, 0, 0);
	case WEIR_OP_TUNNEL:
		return weir_tunnel_deliver(skb, hop, weir_get(skb, tunnel));
	case WEIR_OP_STACK:
		return TC_ACT_UNSPEC;
	case WEIR_OP_BACK:
		return weir_back(skb, hop, 0);
	}
	return weir_undeliverable(skb, WEIR_DROP_DELIVERY);
}
