/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ARP and neighbour discovery, answered in place through the port they came in by. */
#pragma once
#include "tables.h"

#define ND_ROUTER_SOLICIT 133
#define ND_SOLICIT 135
#define ND_ADVERT 136
#define ND_REDIRECT 137

/* Result of a stage: the port by which the packet leaves, or one of these. */
#define RT_VALUE 0xffff
#define RT_PORT(id) ((int)((id) & RT_VALUE) | 0x100000)
#define RT_DROP_BIT 0x10000
#define RT_DROP(reason) (RT_DROP_BIT | (reason))
#define RT_ERROR_BIT 0x20000
#define RT_ERROR(error) (RT_ERROR_BIT | (error))
#define RT_LOCAL 0x40000 /* addressed to the router itself */
#define RT_GONE 0x80000  /* dropped and counted */

/* What is known about a packet so far. */
struct rt_run {
	struct weir_rt_port *in;
	struct weir_rt_port *out;
	struct weir_rt_target *to;
	__u32 port; /* id of port `in` */
	__u32 mtu;  /* of port `out`, once known */
	__u32 l4;   /* IPv4: offset of layer 4 from the start of the frame */
	__u32 tunnel; /* by which the packet leaves; 0: none */
	struct weir_rt_host_key src;
	struct weir_rt_host_key dst;
};

/*
 * The port for the answer to a packet from run->src. An overlay port receives from many nodes, so the route to
 * the sender decides.
 */
WEIR_INLINE int rt_answer_port(struct rt_run *run)
{
	struct weir_rt_target *to;

	if (!(run->in->flags & WEIR_RT_OVERLAY))
		return RT_PORT(run->port);
	to = rt_host(&run->src);
	if (!to)
		to = rt_route(&run->src);
	if (!to || to->flags & ~WEIR_RT_NODE)
		return RT_DROP(WEIR_DROP_NO_ROUTE);
	run->tunnel = to->tunnel;
	return RT_PORT(to->port);
}

/* Whether the router answers for an address: its own, and on a proxy port any address behind another port. */
WEIR_INLINE int rt_answers_for(struct rt_run *run, const struct weir_rt_host_key *address)
{
	struct weir_rt_target *to = rt_host(address);

	if (to && to->flags & WEIR_RT_LOCAL)
		return 1;
	if (!(run->in->flags & WEIR_RT_PROXY))
		return 0;
	if (!to)
		to = rt_route(address);
	return to && to->port != run->port && !(to->flags & (WEIR_RT_PROHIBITED | WEIR_RT_BLACKHOLE));
}

WEIR_INLINE int rt_owns(struct rt_run *run, const struct weir_rt_host_key *address)
{
	struct weir_rt_target *to = rt_host(address);

	return to && to->port == run->port && !(to->flags & WEIR_RT_LOCAL);
}

static __noinline int rt_arp(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct weir_arp *arp;
	struct ethhdr *eth;
	__u8 address[4];

	if (weir_pull(skb, ETH_HLEN + sizeof(*arp)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	arp = eth ? weir_parse_arp(&cursor) : 0;
	if (!arp || arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_len != 6 ||
	    arp->protocol_len != 4)
		return RT_DROP(WEIR_DROP_MALFORMED);
	run->src.family = run->dst.family = 4;
	__builtin_memcpy(run->src.addr, arp->sender, 4);
	__builtin_memcpy(run->dst.addr, arp->target, 4);
	if (arp->operation != bpf_htons(1) || run->in->flags & WEIR_RT_OVERLAY || !rt_answers_for(run, &run->dst))
		return RT_DROP(WEIR_DROP_NEIGHBOUR);
	if (run->in->flags & WEIR_RT_STRICT && !rt_owns(run, &run->src))
		return RT_DROP(WEIR_DROP_SPOOFED);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, run->in->mac, 6);
	arp->operation = bpf_htons(2);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, 6);
	__builtin_memcpy(arp->sender_mac, run->in->mac, 6);
	__builtin_memcpy(address, arp->sender, 4);
	__builtin_memcpy(arp->sender, arp->target, 4);
	__builtin_memcpy(arp->target, address, 4);
	return RT_PORT(run->port);
}

struct rt_nd {
	struct icmp6hdr icmp;
	__u8 target[16];
	__u8 option; /* 2: target link-layer address option */
	__u8 option_len;
	__u8 mac[6];
};
struct rt_advert {
	__u8 align[2];
	struct ethhdr eth;
	struct ipv6hdr ip6;
	struct rt_nd nd;
};
#define RT_ADVERT_LEN (sizeof(struct rt_advert) - 2)

/*
 * Sends an advertisement with the target as sender. The frame is written from scratch, since requests have
 * different options.
 */
WEIR_INLINE int rt_advertise(struct __sk_buff *skb, struct rt_run *run, const __u8 *to)
{
	struct rt_advert advert = {};
	__s64 sum;

	__builtin_memcpy(advert.eth.h_dest, to, 6);
	__builtin_memcpy(advert.eth.h_source, run->in->mac, 6);
	advert.eth.h_proto = bpf_htons(ETH_P_IPV6);
	advert.ip6.version = 6;
	advert.ip6.payload_len = bpf_htons(sizeof(advert.nd));
	advert.ip6.nexthdr = IPPROTO_ICMPV6;
	advert.ip6.hop_limit = 255;
	__builtin_memcpy(&advert.ip6.saddr, run->dst.addr, 16);
	__builtin_memcpy(&advert.ip6.daddr, run->src.addr, 16);
	advert.nd.icmp.icmp6_type = ND_ADVERT;
	advert.nd.icmp.icmp6_dataun.un_data32[0] = bpf_htonl(0xe0000000); /* router, solicited, override */
	__builtin_memcpy(advert.nd.target, run->dst.addr, 16);
	advert.nd.option = 2;
	advert.nd.option_len = 1;
	__builtin_memcpy(advert.nd.mac, run->in->mac, 6);
	sum = bpf_csum_diff(0, 0, (__be32 *)&advert.nd, sizeof(advert.nd), bpf_htonl(sizeof(advert.nd)));
	sum = bpf_csum_diff(0, 0, (__be32 *)&advert.ip6.saddr, 32, sum);
	advert.nd.icmp.icmp6_cksum = weir_csum_fold(sum + bpf_htonl(IPPROTO_ICMPV6));
	if (skb->len != RT_ADVERT_LEN && bpf_skb_change_tail(skb, RT_ADVERT_LEN, 0))
		return RT_DROP(WEIR_DROP_NEIGHBOUR);
	if (bpf_skb_store_bytes(skb, 0, &advert.eth, RT_ADVERT_LEN, BPF_F_RECOMPUTE_CSUM))
		return RT_DROP(WEIR_DROP_NEIGHBOUR);
	return RT_PORT(run->port);
}

/* run->src is the querying address. Sets run->dst to the address in question. */
static __noinline int rt_solicitation(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct icmp6hdr *icmp;
	struct ipv6hdr *ip6;
	struct ethhdr *eth;
	__u8 *target, to[6];

	if (weir_pull(skb, ETH_HLEN + sizeof(*ip6) + 24))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	ip6 = eth ? weir_parse_ip6(&cursor) : 0;
	icmp = ip6 ? weir_parse_icmp6(&cursor) : 0;
	target = cursor.pos;
	if (!icmp || (void *)(target + 16) > cursor.end || bpf_ntohs(ip6->payload_len) < 24)
		return RT_DROP(WEIR_DROP_MALFORMED);
	if (ip6->hop_limit != 255 || icmp->icmp6_code) /* not from this link */
		return RT_DROP(WEIR_DROP_MALFORMED);
	__builtin_memcpy(run->dst.addr, target, 16);
	__builtin_memcpy(to, eth->h_source, 6);
	/* without a source it is duplicate address detection; no address here is a duplicate */
	if (weir_ip6_unspecified(&ip6->saddr) || run->in->flags & WEIR_RT_OVERLAY || !rt_answers_for(run, &run->dst))
		return RT_DROP(WEIR_DROP_NEIGHBOUR);
	if (run->in->flags & WEIR_RT_STRICT && !rt_owns(run, &run->src) &&
	    !(run->src.addr[0] == 0xfe && (run->src.addr[1] & 0xc0) == 0x80))
		return RT_DROP(WEIR_DROP_SPOOFED);
	return rt_advertise(skb, run, to);
}
