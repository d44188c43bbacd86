/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Builds ICMP and ICMPv6 errors in place of the packet that caused them. The caller provides the frame (a row
 * of a per-CPU array, since it is too large for the stack), chooses the source address and delivers the result.
 */
#pragma once
#include "csum.h"

#define WEIR_QUOTE4 548  /* with both headers 576 bytes: RFC 1812, 4.3.2.3 */
#define WEIR_QUOTE6 1232 /* with both headers 1280 bytes: RFC 4443, 2.4 */

enum weir_icmp_error {
	WEIR_ICMP_NO_ROUTE = 1,
	WEIR_ICMP_ADDRESS,    /* the subnet is local, but no pod has the address */
	WEIR_ICMP_PROHIBITED,
	WEIR_ICMP_PORT,
	WEIR_ICMP_EXPIRED,
	WEIR_ICMP_TOO_BIG,
};

struct weir_icmp4 {
	struct iphdr ip;
	struct weir_icmp icmp;
	__u8 quote[WEIR_QUOTE4];
};
struct weir_icmp6 {
	struct ipv6hdr ip6;
	struct icmp6hdr icmp;
	__u8 quote[WEIR_QUOTE6];
};
struct weir_icmp_frame {
	__u8 align[2];
	struct ethhdr eth;
	union {
		struct weir_icmp4 v4;
		struct weir_icmp6 v6;
		__u64 words[160]; /* 1280 bytes */
	};
};
_Static_assert(sizeof(struct weir_icmp4) == 576 && sizeof(struct weir_icmp6) == 1280, "RFC sizes");
_Static_assert(sizeof(struct weir_icmp_frame) == 16 + 1280, "no padding: the frame is copied to the wire");

/*
 * Errors are not sent about errors, nor about packets without a single, certain sender (RFC 1122, 3.2.2; RFC
 * 4443, 2.4).
 */
WEIR_INLINE int weir_icmp4_may_answer(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u8 source = bpf_ntohl(ip->saddr) >> 24, destination = bpf_ntohl(ip->daddr) >> 24, type;

	if (source == 0 || source == 127 || source >= 224 || (destination >= 224 && destination < 240))
		return 0;
	if (ip->daddr == 0xffffffff || weir_ip4_later_fragment(ip))
		return 0;
	if (ip->protocol != IPPROTO_ICMP)
		return 1;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + ip->ihl * 4, &type, 1))
		return 0;
	return type == WEIR_ICMP_ECHO || type == WEIR_ICMP_ECHO_REPLY ||
	       (type >= WEIR_ICMP_TIMESTAMP && type <= WEIR_ICMP_ADDRESS_REPLY);
}

WEIR_INLINE int weir_ip6_unspecified(const struct in6_addr *address)
{
	return !(address->s6_addr32[0] | address->s6_addr32[1] | address->s6_addr32[2] | address->s6_addr32[3]);
}

WEIR_INLINE int weir_icmp6_may_answer(struct __sk_buff *skb, const struct ipv6hdr *ip6)
{
	struct weir_l4 l4;
	__u8 type;

	if (ip6->saddr.s6_addr[0] == 0xff || ip6->daddr.s6_addr[0] == 0xff || weir_ip6_unspecified(&ip6->saddr))
		return 0;
	if (weir_ip6_l4(skb, ip6->nexthdr, &l4) || l4.later)
		return 0;
	if (l4.protocol != IPPROTO_ICMPV6)
		return 1;
	if (bpf_skb_load_bytes(skb, l4.offset, &type, 1))
		return 0;
	return type >= 128 && type != 137;
}

/*
 * The padding after the quote must not contain bytes of an earlier packet. volatile, since a call of memset
 * would not link. Not static, so that the verifier walks the loop once, not once per path.
 */
__noinline int weir_icmp_clear(struct weir_icmp_frame *frame)
{
	if (!frame)
		return -1;
	for (int i = 0; i < 160; i++)
		*(volatile __u64 *)&frame->words[i] = 0;
	return 0;
}

/*
 * Replaces the packet by the frame. A packet from a local socket may have a checksum still to be filled in by a
 * device (CHECKSUM_PARTIAL), at an offset that would be wrong for the new packet. Removing all of the old
 * packet makes the kernel drop that offset; growing the rest clears a device's checksum result, and change_tail
 * clears segmentation.
 */
WEIR_INLINE int weir_icmp_replace(struct __sk_buff *skb, struct weir_icmp_frame *frame, __u32 quoted, __u32 len)
{
	if (bpf_skb_change_tail(skb, ETH_HLEN + quoted + 56, 0))
		return -1;
	if (bpf_skb_adjust_room(skb, -(__s32)(quoted + 16), BPF_ADJ_ROOM_MAC, 0))
		return -1;
	if (bpf_skb_change_tail(skb, len, 0))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &frame->eth, len, 0);
}

WEIR_INLINE void weir_icmp_eth(struct weir_icmp_frame *frame, const struct ethhdr *eth, const __u8 *mac)
{
	__builtin_memcpy(frame->eth.h_dest, eth->h_source, 6);
	__builtin_memcpy(frame->eth.h_source, mac, 6);
	frame->eth.h_proto = eth->h_proto;
}

WEIR_INLINE void weir_icmp4_kind(struct weir_icmp *icmp, enum weir_icmp_error error, __u32 mtu)
{
	icmp->type = error == WEIR_ICMP_EXPIRED ? WEIR_ICMP_TIME_EXCEEDED : WEIR_ICMP_UNREACHABLE;
	switch (error) {
	case WEIR_ICMP_NO_ROUTE:
	case WEIR_ICMP_EXPIRED:
		icmp->code = 0;
		return;
	case WEIR_ICMP_ADDRESS:
		icmp->code = 1;
		return;
	case WEIR_ICMP_PROHIBITED:
		icmp->code = 13;
		return;
	case WEIR_ICMP_PORT:
		icmp->code = 3;
		return;
	case WEIR_ICMP_TOO_BIG:
		icmp->code = 4;
		icmp->mtu = bpf_htons(mtu);
		return;
	}
}

WEIR_INLINE void weir_icmp6_kind(struct icmp6hdr *icmp, enum weir_icmp_error error, __u32 mtu)
{
	icmp->icmp6_type = ICMPV6_DEST_UNREACH;
	switch (error) {
	case WEIR_ICMP_NO_ROUTE:
		icmp->icmp6_code = ICMPV6_NOROUTE;
		return;
	case WEIR_ICMP_ADDRESS:
		icmp->icmp6_code = ICMPV6_ADDR_UNREACH;
		return;
	case WEIR_ICMP_PROHIBITED:
		icmp->icmp6_code = ICMPV6_ADM_PROHIBITED;
		return;
	case WEIR_ICMP_PORT:
		icmp->icmp6_code = ICMPV6_PORT_UNREACH;
		return;
	case WEIR_ICMP_EXPIRED:
		icmp->icmp6_type = ICMPV6_TIME_EXCEED;
		return;
	case WEIR_ICMP_TOO_BIG:
		icmp->icmp6_type = ICMPV6_PKT_TOOBIG;
		icmp->icmp6_mtu = bpf_htonl(mtu);
		return;
	}
}

/*
 * Answers an IPv4 packet that weir_parse_ip4 and may_answer accept. Returns 0, or a negative number: the packet
 * is damaged.
 */
WEIR_INLINE int weir_icmp4_answer(struct __sk_buff *skb, struct weir_icmp_frame *frame, const struct ethhdr *eth,
				  const struct iphdr *ip, const __u8 *mac, __be32 from, enum weir_icmp_error error,
				  __u32 mtu)
{
	struct weir_icmp4 *v4 = &frame->v4;
	__u32 quoted = weir_ip4_len(skb, ip);

	weir_icmp_clear(frame);
	weir_icmp_eth(frame, eth, mac);
	v4->ip.saddr = from;
	v4->ip.daddr = ip->saddr;
	asm volatile("" : "+r"(quoted)); /* the bounds checks below must apply to this register */
	if (quoted > WEIR_QUOTE4)
		quoted = WEIR_QUOTE4;
	if (quoted < sizeof(*ip) || bpf_skb_load_bytes(skb, ETH_HLEN, v4->quote, quoted))
		return -1;
	v4->ip.version = 4;
	v4->ip.ihl = 5;
	v4->ip.tos = 0xc0; /* internetwork control: RFC 1812, 4.3.2.5 */
	v4->ip.tot_len = bpf_htons(28 + quoted);
	v4->ip.frag_off = bpf_htons(WEIR_IP_DF);
	v4->ip.ttl = 64;
	v4->ip.protocol = IPPROTO_ICMP;
	v4->ip.check = weir_csum_fold(bpf_csum_diff(0, 0, (__be32 *)&v4->ip, 20, 0));
	weir_icmp4_kind(&v4->icmp, error, mtu);
	/* bpf_csum_diff takes 512 bytes at most */
	v4->icmp.checksum = weir_csum_fold(bpf_csum_diff(0, 0, (__be32 *)&v4->icmp, 512,
		bpf_csum_diff(0, 0, (__be32 *)((void *)&v4->icmp + 512), 44, 0)));
	return weir_icmp_replace(skb, frame, quoted, ETH_HLEN + 28 + quoted);
}

/* Likewise for IPv6. */
WEIR_INLINE int weir_icmp6_answer(struct __sk_buff *skb, struct weir_icmp_frame *frame, const struct ethhdr *eth,
				  const struct ipv6hdr *ip6, const __u8 *mac, const __u8 *from,
				  enum weir_icmp_error error, __u32 mtu)
{
	struct weir_icmp6 *v6 = &frame->v6;
	__u32 quoted = weir_ip6_len(skb, ip6);
	__s64 sum;

	weir_icmp_clear(frame);
	weir_icmp_eth(frame, eth, mac);
	__builtin_memcpy(&v6->ip6.saddr, from, 16);
	__builtin_memcpy(&v6->ip6.daddr, &ip6->saddr, 16);
	asm volatile("" : "+r"(quoted));
	if (quoted > WEIR_QUOTE6)
		quoted = WEIR_QUOTE6;
	if (quoted < sizeof(*ip6) || bpf_skb_load_bytes(skb, ETH_HLEN, v6->quote, quoted))
		return -1;
	v6->ip6.version = 6;
	v6->ip6.payload_len = bpf_htons(8 + quoted);
	v6->ip6.nexthdr = IPPROTO_ICMPV6;
	v6->ip6.hop_limit = 64;
	weir_icmp6_kind(&v6->icmp, error, mtu);
	sum = bpf_csum_diff(0, 0, (__be32 *)&v6->icmp, 512, bpf_htonl(8 + quoted));
	sum = bpf_csum_diff(0, 0, (__be32 *)((void *)&v6->icmp + 512), 512, sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)((void *)&v6->icmp + 1024), 216, sum);
	sum = bpf_csum_diff(0, 0, (__be32 *)&v6->ip6.saddr, 32, sum);
	v6->icmp.icmp6_cksum = weir_csum_fold(sum + bpf_htonl(IPPROTO_ICMPV6));
	return weir_icmp_replace(skb, frame, quoted, ETH_HLEN + 48 + quoted);
}
