/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Decides which packets a rule applies to. */
#pragma once
#include "parse.h"
#include "tables.h"

#define DNS_PORT 53
#define PROBE_BITS (8 * (sizeof(struct weir_impair_peer) - sizeof(__u32)))

/* A packet, with the fields that rules match. */
struct packet {
	struct weir_impair_peer peer; /* prefixlen and address; the instance is set for the look-up */
	__u16 pod_port;               /* host order */
	__u16 peer_port;
	__u32 offset; /* of the layer-4 header; 0: none */
	__u8 protocol;
	__u8 has_ports;
	__u16 reserved;
};

WEIR_INLINE void put_ip4(__u8 address[16], __be32 ip)
{
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &ip, 4);
}

/* The ports of TCP, UDP and SCTP are the first four bytes. */
WEIR_INLINE void read_ports(struct __sk_buff *skb, struct packet *packet, int egress)
{
	__be16 port[2];

	if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP && packet->protocol != IPPROTO_SCTP)
		return;
	if (weir_load(skb, packet->offset, port, sizeof(port)))
		return;
	packet->has_ports = 1;
	packet->pod_port = bpf_ntohs(egress ? port[0] : port[1]);
	packet->peer_port = bpf_ntohs(egress ? port[1] : port[0]);
}

/* Returns 0, or -1 if it is not an IP packet. */
WEIR_INLINE int read_packet(struct __sk_buff *skb, struct packet *packet, int egress)
{
	struct iphdr ip4;
	struct ipv6hdr ip6;
	struct weir_l4 l4;

	*packet = (struct packet){ .peer.prefixlen = PROBE_BITS };
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (weir_load(skb, ETH_HLEN, &ip4, sizeof(ip4)))
			return -1;
		put_ip4(packet->peer.address, egress ? ip4.daddr : ip4.saddr);
		packet->protocol = ip4.protocol;
		packet->offset = weir_ip4_later_fragment(&ip4) ? 0 : ETH_HLEN + ip4.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (weir_load(skb, ETH_HLEN, &ip6, sizeof(ip6)))
			return -1;
		__builtin_memcpy(packet->peer.address, egress ? &ip6.daddr : &ip6.saddr, 16);
		if (weir_ip6_l4(skb, ip6.nexthdr, &l4))
			return 0;
		packet->protocol = l4.protocol;
		packet->offset = l4.later ? 0 : l4.offset;
	} else {
		return -1;
	}
	if (packet->offset)
		read_ports(skb, packet, egress);
	return 0;
}

WEIR_INLINE int is_peer(struct packet *packet, __u32 instance)
{
	packet->peer.instance = instance;
	return bpf_map_lookup_elem(&weir_impair_peers, &packet->peer) != 0;
}

WEIR_INLINE int in_range(const struct weir_impair_port *port, __u16 number)
{
	return port->first <= number && number <= port->last;
}

WEIR_INLINE int port_matches(const struct weir_impair_port *port, const struct packet *packet)
{
	__u8 protocol = packet->protocol == IPPROTO_ICMPV6 ? IPPROTO_ICMP : packet->protocol;

	if (port->protocol != protocol)
		return 0;
	if (!port->first && port->last == 0xffff)
		return 1;
	if (!packet->has_ports)
		return 0;
	if (port->side & WEIR_IMPAIR_POD && in_range(port, packet->pod_port))
		return 1;
	return port->side & WEIR_IMPAIR_PEER && in_range(port, packet->peer_port);
}

WEIR_INLINE int ports_match(const struct weir_impair *rule, const struct packet *packet)
{
	if (!rule->ports)
		return 1;
#pragma unroll
	for (__u32 i = 0; i < WEIR_IMPAIR_PORTS; i++) {
		if (i < rule->ports && port_matches(&rule->port[i], packet))
			return 1;
	}
	return 0;
}

/* kubelet's probes come from the node's own addresses; DNS queries go to port 53 of the peer. */
WEIR_INLINE int is_exempt(const struct weir_impair *rule, struct packet *packet)
{
	if (rule->flags & WEIR_IMPAIR_NO_DNS && packet->has_ports && packet->peer_port == DNS_PORT &&
	    packet->protocol != IPPROTO_SCTP)
		return 1;
	return rule->flags & WEIR_IMPAIR_NO_PROBES && is_peer(packet, 0);
}

WEIR_INLINE int matches(const struct weir_impair *rule, struct packet *packet, __u32 instance)
{
	if (rule->flags & WEIR_IMPAIR_PEERS && !is_peer(packet, instance))
		return 0;
	return ports_match(rule, packet) && !is_exempt(rule, packet);
}
