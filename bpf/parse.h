/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Header parsing. A cursor walks the packet's linear part. Each weir_parse_* checks bounds, moves past its
 * header and returns it, or 0. Any helper that may move data (pull, change_tail, store_bytes …) invalidates a
 * cursor and all pointers from it.
 */
#pragma once
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "panel.h"

#define WEIR_IP_MF 0x2000
#define WEIR_IP_DF 0x4000
#define WEIR_IP_OFFSET 0x1fff
#define WEIR_EXT_HEADERS 6 /* the most IPv6 extension headers that are walked */

/* <linux/icmp.h> would include the C library */
struct weir_icmp {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 unused;
	__be16 mtu; /* in "fragmentation needed" */
};
enum weir_icmp_type {
	WEIR_ICMP_ECHO_REPLY = 0,
	WEIR_ICMP_UNREACHABLE = 3,
	WEIR_ICMP_ECHO = 8,
	WEIR_ICMP_TIME_EXCEEDED = 11,
	WEIR_ICMP_TIMESTAMP = 13, /* up to ADDRESS_REPLY: queries and replies */
	WEIR_ICMP_ADDRESS_REPLY = 18,
};

struct weir_cursor {
	void *pos;
	void *end;
};

/* ARP for IPv4 over Ethernet, from the hardware type. */
struct weir_arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
} __attribute__((packed));

/* Makes the first len bytes linear. Payload usually is not, so only ask for headers. */
WEIR_INLINE int weir_pull(struct __sk_buff *skb, __u32 len)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + len <= end)
		return 0;
	return bpf_skb_pull_data(skb, len);
}

WEIR_INLINE struct weir_cursor weir_cursor(struct __sk_buff *skb)
{
	return (struct weir_cursor){ (void *)(long)skb->data, (void *)(long)skb->data_end };
}

#define WEIR_PARSE(name, type)                                                    \
	WEIR_INLINE type *name(struct weir_cursor *cursor)                        \
	{                                                                         \
		type *header = cursor->pos;                                       \
										  \
		if ((void *)(header + 1) > cursor->end)                           \
			return 0;                                                 \
		cursor->pos = header + 1;                                         \
		return header;                                                    \
	}

WEIR_PARSE(weir_parse_eth, struct ethhdr)
WEIR_PARSE(weir_parse_arp, struct weir_arp)
WEIR_PARSE(weir_parse_ip6, struct ipv6hdr)
WEIR_PARSE(weir_parse_icmp, struct weir_icmp)
WEIR_PARSE(weir_parse_icmp6, struct icmp6hdr)
WEIR_PARSE(weir_parse_udp, struct udphdr)

/*
 * Layer-3 size. A TCP packet of more than 64 KiB that is still to be segmented (BIG TCP) has length 0, like an
 * IPv6 jumbogram: then the skb's length counts.
 */
WEIR_INLINE __u32 weir_ip4_len(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u32 len = bpf_ntohs(ip->tot_len);

	return len || !skb->gso_size || ip->protocol != IPPROTO_TCP ? len : skb->len - ETH_HLEN;
}
WEIR_INLINE __u32 weir_ip6_len(struct __sk_buff *skb, const struct ipv6hdr *ip6)
{
	__u32 len = bpf_ntohs(ip6->payload_len);

	return len || (!skb->gso_size && ip6->nexthdr != IPPROTO_HOPOPTS) ? sizeof(*ip6) + len : skb->len - ETH_HLEN;
}

/*
 * The size of the hop-by-hop header with which the kernel marks IPv6 BIG TCP packets; it is not sent on the
 * wire.
 */
WEIR_INLINE __u32 weir_ip6_big_header(struct __sk_buff *skb, const struct ipv6hdr *ip6)
{
	return skb->gso_size && !ip6->payload_len && ip6->nexthdr == IPPROTO_HOPOPTS ? 8 : 0;
}

/* Parses the header with its options. Returns 0 if version or lengths do not match the packet. */
WEIR_INLINE struct iphdr *weir_parse_ip4(struct weir_cursor *cursor, struct __sk_buff *skb)
{
	struct iphdr *ip = cursor->pos;
	__u32 header, len;

	if ((void *)(ip + 1) > cursor->end || ip->version != 4)
		return 0;
	header = ip->ihl * 4;
	if (header < sizeof(*ip) || cursor->pos + header > cursor->end)
		return 0;
	len = weir_ip4_len(skb, ip);
	if (len < header || len > skb->len - ETH_HLEN)
		return 0;
	cursor->pos += header;
	return ip;
}

/* A later fragment has no layer-4 header. */
WEIR_INLINE int weir_ip4_later_fragment(const struct iphdr *ip)
{
	return ip->frag_off & bpf_htons(WEIR_IP_OFFSET);
}
WEIR_INLINE int weir_ip4_fragment(const struct iphdr *ip)
{
	return ip->frag_off & bpf_htons(WEIR_IP_OFFSET | WEIR_IP_MF);
}

WEIR_INLINE int weir_ip6_is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_AH;
}

struct weir_l4 {
	__u32 offset;   /* from the start of the frame */
	__u8 protocol;
	__u8 fragment;  /* has a fragment header */
	__u8 later;     /* is a later fragment, without a layer-4 header */
	__u8 reserved;
};

/*
 * Finds the layer-4 header after an IPv6 header at an offset and its extension headers, also outside of the
 * linear part. Returns 0, or -1: truncated, or too many headers.
 */
WEIR_INLINE int weir_ip6_l4_of(struct __sk_buff *skb, __u32 offset, __u8 first, struct weir_l4 *l4)
{
	__u8 header[4]; /* next header, length, fragment offset */
	__u8 protocol = first;

	offset += sizeof(struct ipv6hdr);
	*l4 = (struct weir_l4){};
#pragma unroll
	for (int i = 0; i < WEIR_EXT_HEADERS; i++) {
		if (!weir_ip6_is_extension(protocol))
			break;
		if (bpf_skb_load_bytes(skb, offset, header, sizeof(header)))
			return -1;
		if (protocol == IPPROTO_FRAGMENT) {
			l4->fragment = 1;
			if (header[2] || header[3] & 0xf8)
				l4->later = 1;
			offset += 8;
		} else {
			offset += protocol == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
		}
		protocol = header[0];
		if (l4->later)
			break;
	}
	l4->offset = offset;
	l4->protocol = protocol;
	return weir_ip6_is_extension(protocol) && !l4->later ? -1 : 0;
}

/* Likewise for the packet's own IPv6 header. */
WEIR_INLINE int weir_ip6_l4(struct __sk_buff *skb, __u8 first, struct weir_l4 *l4)
{
	return weir_ip6_l4_of(skb, ETH_HLEN, first, l4);
}
