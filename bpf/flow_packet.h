/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A packet's tuple, and its fields that change TCP state. Part of flow.h. */
#pragma once
#include "flow.h"
#include "parse.h"

#define WEIR_TCP_FIN 0x01
#define WEIR_TCP_SYN 0x02
#define WEIR_TCP_RST 0x04
#define WEIR_TCP_ACK 0x10
#define WEIR_TCP_OPTIONS 10 /* options searched for a window scale */

enum weir_flow_part {
	WEIR_FLOW_WHOLE = 0,
	WEIR_FLOW_HEAD,	 /* the first fragment, with ports */
	WEIR_FLOW_LATER, /* a later fragment: its tuple is the datagram's */
};

struct weir_flow_packet {
	struct weir_flow_tuple tuple; /* of an ICMP error: the tuple of the quoted packet */
	__u32 datagram;		      /* a fragment's identification */
	__u32 seq;		      /* TCP */
	__u32 ack;
	__u16 window;
	__u8 flags; /* WEIR_TCP_* */
	__u8 scale; /* window scale in a SYN */
	__u8 part;  /* enum weir_flow_part */
	__u8 error; /* 1: an ICMP error, whose direction is opposite to the quoted packet's */
	__u8 last;  /* 1: the last fragment */
	__u8 reserved;
};

struct weir_flow_tcp {
	__be16 ports[2];
	__be32 seq;
	__be32 ack;
	__u8 length; /* header length in words, in the high four bits */
	__u8 flags;
	__be16 window;
};

/* The window scale in a SYN: the shift of the sender's later windows. */
WEIR_INLINE __u8 weir_flow_scale(struct __sk_buff *skb, __u32 offset, __u32 end)
{
	__u8 option[3]; /* kind, length, shift */

#pragma clang loop unroll(disable)
	for (int i = 0; i < WEIR_TCP_OPTIONS; i++) {
		if (offset + sizeof(option) > end || bpf_skb_load_bytes(skb, offset, option, sizeof(option)))
			return 0;
		if (option[0] == 3) /* RFC 7323; more than 14 counts as 14 */
			return option[2] > 14 ? 14 : option[2];
		if (option[0] == 0 || (option[0] != 1 && option[1] < 2))
			return 0;
		offset += option[0] == 1 ? 1 : option[1];
	}
	return 0;
}

WEIR_INLINE int weir_flow_parse_tcp(struct __sk_buff *skb, __u32 offset, int quoted, struct weir_flow_packet *packet)
{
	struct weir_flow_tcp tcp = {};

	if (bpf_skb_load_bytes(skb, offset, &tcp, quoted ? 8 : sizeof(tcp)))
		return -1;
	packet->tuple.src_port = tcp.ports[0];
	packet->tuple.dst_port = tcp.ports[1];
	packet->seq = bpf_ntohl(tcp.seq);
	packet->ack = bpf_ntohl(tcp.ack);
	packet->window = bpf_ntohs(tcp.window);
	packet->flags = tcp.flags;
	if (tcp.flags & WEIR_TCP_SYN)
		packet->scale = weir_flow_scale(skb, offset + 20, offset + (tcp.length >> 4) * 4);
	return 0;
}

/* Returns 0; 1: an error that quotes a packet; -1: another message, which belongs to no flow. */
WEIR_INLINE int weir_flow_parse_icmp(struct __sk_buff *skb, __u32 offset, struct weir_flow_packet *packet)
{
	struct {
		__u8 type, code;
		__u16 checksum;
		__be16 id, number;
	} icmp;
	int error, query;

	if (bpf_skb_load_bytes(skb, offset, &icmp, sizeof(icmp)))
		return -1;
	if (packet->tuple.family == 4) {
		query = icmp.type == WEIR_ICMP_ECHO || icmp.type == WEIR_ICMP_ECHO_REPLY ||
			(icmp.type >= WEIR_ICMP_TIMESTAMP && icmp.type <= WEIR_ICMP_ADDRESS_REPLY);
		error = icmp.type >= WEIR_ICMP_UNREACHABLE && icmp.type <= 12 && icmp.type != WEIR_ICMP_ECHO;
		error &= icmp.type != 9 && icmp.type != 10; /* IPv4 router discovery */
	} else {
		query = icmp.type == ICMPV6_ECHO_REQUEST || icmp.type == ICMPV6_ECHO_REPLY;
		error = icmp.type && icmp.type < 128;
	}
	packet->tuple.src_port = icmp.id;
	packet->tuple.dst_port = icmp.id;
	return query ? 0 : error ? 1 : -1;
}

/* Like weir_flow_parse_icmp. Flows of protocols without known ports are identified by addresses. */
WEIR_INLINE int weir_flow_parse_l4(struct __sk_buff *skb, __u32 offset, int quoted, struct weir_flow_packet *packet)
{
	__u8 protocol = packet->tuple.protocol;

	if (protocol == IPPROTO_TCP)
		return weir_flow_parse_tcp(skb, offset, quoted, packet);
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP)
		return bpf_skb_load_bytes(skb, offset, &packet->tuple.src_port, 4) ? -1 : 0;
	if (protocol == (packet->tuple.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return weir_flow_parse_icmp(skb, offset, packet);
	return 0;
}

/* Sets the tuple of a later fragment: its datagram's, which was recorded by weir_flow_expect. */
WEIR_INLINE void weir_flow_datagram(struct weir_flow_tuple *tuple, __u32 id)
{
	tuple->family |= WEIR_FLOW_PART;
	tuple->src_port = id;
	tuple->dst_port = id >> 16;
}

/* Parses the IPv4 header at an offset. Returns the offset of layer 4, or a negative number. */
WEIR_INLINE int weir_flow_parse_ip4(struct __sk_buff *skb, __u32 offset, struct weir_flow_packet *packet)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return -1;
	packet->tuple.family = 4;
	packet->tuple.protocol = ip.protocol;
	__builtin_memcpy(packet->tuple.src, &ip.saddr, 4);
	__builtin_memcpy(packet->tuple.dst, &ip.daddr, 4);
	if (weir_ip4_fragment(&ip)) {
		packet->part = weir_ip4_later_fragment(&ip) ? WEIR_FLOW_LATER : WEIR_FLOW_HEAD;
		packet->last = !(ip.frag_off & bpf_htons(WEIR_IP_MF));
		packet->datagram = ip.id;
	}
	return offset + ip.ihl * 4;
}

/* Likewise for IPv6. */
WEIR_INLINE int weir_flow_parse_ip6(struct __sk_buff *skb, __u32 offset, struct weir_flow_packet *packet)
{
	struct {
		__be32 first;
		__be16 length;
		__u8 next, hops;
		__u8 address[32];
	} ip;
	struct weir_l4 l4;
	__u8 more = 0;

	if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || (ip.first & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
		return -1;
	packet->tuple.family = 6;
	packet->tuple.protocol = ip.next;
	__builtin_memcpy(packet->tuple.src, ip.address, 16);
	__builtin_memcpy(packet->tuple.dst, ip.address + 16, 16);
	if (!weir_ip6_is_extension(ip.next))
		return offset + sizeof(ip);
	if (weir_ip6_l4_of(skb, offset, ip.next, &l4))
		return -1;
	packet->tuple.protocol = l4.protocol;
	if (l4.fragment) {
		/*
		 * the first fragment's options after the fragment header change this number: its later
		 * fragments find no flow
		 */
		if (bpf_skb_load_bytes(skb, l4.offset - 5, &more, 1) || bpf_skb_load_bytes(skb, l4.offset - 4, &packet->datagram, 4))
			return -1;
		packet->part = l4.later ? WEIR_FLOW_LATER : WEIR_FLOW_HEAD;
		packet->last = !(more & 1);
	}
	return l4.offset;
}

WEIR_INLINE int weir_flow_parse_ip(struct __sk_buff *skb, __u32 offset, int family, struct weir_flow_packet *packet)
{
	return family == 4 ? weir_flow_parse_ip4(skb, offset, packet) : weir_flow_parse_ip6(skb, offset, packet);
}

/* Parses the packet quoted by an ICMP error. Returns 0, or -1. */
WEIR_INLINE int weir_flow_parse_quoted(struct __sk_buff *skb, __u32 offset, int family, struct weir_flow_packet *packet)
{
	__u32 zone = packet->tuple.zone;
	int l4;

	*packet = (struct weir_flow_packet){ .tuple.zone = zone, .error = 1 };
	l4 = weir_flow_parse_ip(skb, offset, family, packet);
	if (l4 < 0)
		return -1;
	if (packet->part == WEIR_FLOW_LATER) {
		weir_flow_datagram(&packet->tuple, packet->datagram);
		return 0;
	}
	return weir_flow_parse_l4(skb, l4, 1, packet) ? -1 : 0; /* an error about an error belongs to no flow */
}

/*
 * Parses the packet's headers. Returns 0, or -1: it belongs to no flow (not IP, truncated, neighbour
 * discovery). Headers may be outside of the linear part. Lengths are not checked against the packet; the router
 * does that.
 */
WEIR_INLINE int weir_flow_parse(struct __sk_buff *skb, __u32 zone, struct weir_flow_packet *packet)
{
	int family = skb->protocol == bpf_htons(ETH_P_IP) ? 4 : skb->protocol == bpf_htons(ETH_P_IPV6) ? 6 : 0, l4, kind;

	*packet = (struct weir_flow_packet){ .tuple.zone = zone };
	if (!family)
		return -1;
	l4 = weir_flow_parse_ip(skb, ETH_HLEN, family, packet);
	if (l4 < 0)
		return -1;
	if (weir_unlikely(packet->part == WEIR_FLOW_LATER)) {
		weir_flow_datagram(&packet->tuple, packet->datagram);
		return 0;
	}
	kind = weir_flow_parse_l4(skb, l4, 0, packet);
	if (weir_unlikely(kind > 0))
		return weir_flow_parse_quoted(skb, l4 + 8, family, packet);
	return kind;
}
