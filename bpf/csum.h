/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Internet checksums (RFC 1071, incremental: RFC 1624). Sums are of 16-bit words in memory order. */
#pragma once
#include "parse.h"

WEIR_INLINE __u16 weir_csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Updates a checksum for one 16-bit word that changed from before to after. */
WEIR_INLINE __u16 weir_csum_replace(__u16 sum, __u16 before, __u16 after)
{
	return weir_csum_fold((__u64)(__u16)~sum + (__u16)~before + after);
}

/* Whether the header checksum is correct. The options must be within the cursor's bounds. */
WEIR_INLINE int weir_ip4_csum_ok(const struct iphdr *ip, void *end)
{
	const __u32 *word = (const void *)ip;
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < 5; i++)
		sum += word[i];
	for (int i = 5; i < 15; i++) {
		if (i >= ip->ihl || (void *)(word + i + 1) > end)
			break;
		sum += word[i];
	}
	return weir_csum_fold(sum) == 0;
}

WEIR_INLINE void weir_ip4_set_ttl(struct iphdr *ip, __u8 ttl)
{
	__u16 *word = (__u16 *)&ip->ttl; /* TTL and protocol */
	__u16 before = *word;

	ip->ttl = ttl;
	ip->check = weir_csum_replace(ip->check, before, *word);
}

/*
 * IPv6 has no header checksum. But a device may have summed the whole packet (CHECKSUM_COMPLETE), and that sum
 * must be updated for a change that no checksum field compensates.
 */
WEIR_INLINE void weir_ip6_set_hop_limit(struct __sk_buff *skb, struct ipv6hdr *ip6, __u8 limit)
{
	__u16 before = bpf_htons(ip6->hop_limit), after = bpf_htons(limit);

	ip6->hop_limit = limit;
	bpf_csum_update(skb, (__u32)(__u16)~before + after);
}
