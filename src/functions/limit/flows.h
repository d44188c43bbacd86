/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A packet's flow, its size on the wire, and what HTB charges for it. */
#pragma once
#include "link.h"
#include "parse.h"

#define WEIR_LIMIT_ETH 14
/*
 * The root's size table charges 647/640 bytes for each byte at layer 3, the ratio of the smallest IPv6 MTU with
 * and without an Ethernet header. Segments that tbf splits are charged with their Ethernet header. So HTB never
 * charges more than 647/640 of layer 3 for an unsplit packet; what it charges too little is added with
 * WEIR_LIMIT_PAD packets. src/model/shape.ts has the same numbers.
 */
#define WEIR_LIMIT_CHARGE 647
#define WEIR_LIMIT_UNIT 640
#define WEIR_LIMIT_TABLE_SHIFT 11
#define WEIR_LIMIT_TABLE (1 << WEIR_LIMIT_TABLE_SHIFT)

enum weir_limit_part {
	WEIR_LIMIT_WHOLE = 0,
	WEIR_LIMIT_HEAD,  /* the first fragment of a datagram */
	WEIR_LIMIT_LATER, /* a later fragment, without ports */
};

struct weir_limit_packet {
	__u32 hash;     /* the flow's hash; never 0 */
	__u32 datagram; /* the datagram's hash, if it is a fragment */
	__u32 bytes;    /* at layer 3, with the headers of every wire packet */
	__u32 packets;  /* on the wire */
	__u8 part;      /* enum weir_limit_part */
	__u8 protocol;
	__u8 ect;       /* ECN-capable transport */
	__u8 opening;   /* a TCP SYN */
	__u32 jumbo;    /* bytes of a jumbo header that its segments do not have */
	__u32 before;   /* its offset in the datagram, bytes */
};

WEIR_INLINE __u32 mix(__u32 hash, __u32 value)
{
	hash ^= value;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* Ports, or an ICMP echo identifier: what distinguishes flows between two addresses. */
WEIR_INLINE __u32 flow_ports(struct __sk_buff *skb, __u8 protocol, __u32 offset)
{
	int echo = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
	__u32 ports = 0;

	if (echo)
		offset += 4; /* identifier, sequence number */
	else if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_SCTP && protocol != IPPROTO_UDPLITE)
		return 0;
	if (weir_load(skb, offset, &ports, sizeof(ports)))
		return 0;
	return echo ? ports & bpf_htonl(0xffff0000) : ports;
}

WEIR_INLINE void flow_of_ip4(struct __sk_buff *skb, struct weir_limit_packet *packet, __u32 *offset)
{
	struct iphdr ip;

	if (weir_load(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	packet->protocol = ip.protocol;
	packet->ect = ip.tos & 3;
	packet->hash = mix(mix(ip.saddr, ip.daddr), ip.protocol);
	*offset = ETH_HLEN + ip.ihl * 4;
	if (!weir_ip4_fragment(&ip))
		return;
	packet->part = weir_ip4_later_fragment(&ip) ? WEIR_LIMIT_LATER : WEIR_LIMIT_HEAD;
	packet->datagram = mix(packet->hash, ip.id);
}

WEIR_INLINE void flow_of_ip6(struct __sk_buff *skb, struct weir_limit_packet *packet, __u32 *offset)
{
	struct {
		__u8 class[2], label[2];
		__be16 length;
		__u8 next, hops;
		__u32 address[8];
	} ip;
	struct weir_l4 l4 = { .protocol = 0 };
	__u32 id = 0;

	if (weir_load(skb, ETH_HLEN, &ip, sizeof(ip)))
		return;
	packet->ect = ip.class[1] >> 4 & 3;
	packet->jumbo = skb->gso_size && !ip.length && ip.next == IPPROTO_HOPOPTS ? 8 : 0;
	packet->protocol = ip.next;
#pragma unroll
	for (int i = 0; i < 8; i++)
		packet->hash = mix(packet->hash, ip.address[i]);
	*offset = ETH_HLEN + sizeof(ip);
	if (!weir_ip6_is_extension(ip.next)) {
		packet->hash = mix(packet->hash, ip.next);
		return;
	}
	if (weir_ip6_l4(skb, ip.next, &l4))
		return;
	*offset = l4.offset;
	packet->protocol = l4.protocol;
	packet->hash = mix(packet->hash, l4.protocol);
	if (!l4.fragment)
		return;
	packet->part = l4.later ? WEIR_LIMIT_LATER : WEIR_LIMIT_HEAD;
	if (!bpf_skb_load_bytes(skb, l4.offset - 4, &id, 4)) /* last word of the fragment header, if it is the last extension header */
		packet->datagram = mix(packet->hash, id);
}

/* Bytes of layer-3 and layer-4 headers in each segment of a GSO packet; 0: unknown. Detects a TCP SYN. */
WEIR_INLINE __u32 header_bytes(struct __sk_buff *skb, struct weir_limit_packet *packet, __u32 offset)
{
	__u8 tcp[2]; /* data offset, flags */

	if (packet->protocol == IPPROTO_UDP)
		return offset - WEIR_LIMIT_ETH + 8;
	if (packet->protocol != IPPROTO_TCP || weir_load(skb, offset + 12, tcp, sizeof(tcp)))
		return 0;
	packet->opening = tcp[1] >> 1 & 1;
	return offset - WEIR_LIMIT_ETH + (tcp[0] >> 4) * 4;
}

/* Determines the size on the wire of a packet that is not segmented any more. */
WEIR_INLINE void weir_limit_size(struct __sk_buff *skb, struct weir_limit_packet *packet)
{
	packet->packets = 1;
	packet->bytes = skb->len - WEIR_LIMIT_ETH - packet->jumbo;
	if (!packet->bytes)
		packet->bytes = 1; /* 0 would mean that nothing is queued */
}

/* Parses a packet: its size on the wire and its flow. All non-IP packets are in flow 1. */
WEIR_INLINE void weir_limit_parse(struct __sk_buff *skb, struct weir_limit_packet *packet)
{
	__u32 offset = 0, headers = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		flow_of_ip4(skb, packet, &offset);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		flow_of_ip6(skb, packet, &offset);
	if (offset && packet->part != WEIR_LIMIT_LATER) {
		packet->hash = mix(packet->hash, flow_ports(skb, packet->protocol, offset));
		headers = header_bytes(skb, packet, offset);
	}
	if (!packet->hash)
		packet->hash = 1;
	weir_limit_size(skb, packet);
	if (skb->gso_segs <= 1)
		return;
	packet->packets = skb->gso_segs;
	if (headers > packet->jumbo)
		packet->bytes += (skb->gso_segs - 1) * (headers - packet->jumbo);
}

/* Bytes that the root's size table charges for an unsplit packet. */
WEIR_INLINE __u32 weir_limit_tabled(__u32 len)
{
	__u32 slot = len - WEIR_LIMIT_ETH, rest = slot & (WEIR_LIMIT_TABLE - 1);
	const __u32 last = (WEIR_LIMIT_TABLE - 1) * WEIR_LIMIT_CHARGE / WEIR_LIMIT_UNIT;

	return (slot >> WEIR_LIMIT_TABLE_SHIFT) * last + rest * WEIR_LIMIT_CHARGE / WEIR_LIMIT_UNIT;
}
