/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Writes a DSCP, for all packets or for one port of TCP and UDP: ebpf-limit: "mark-dscp egress -DDSCP=46 -DPORT=5060" */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ECN 3 /* the byte's two lowest bits are not DSCP's */

/* Is the packet of the port that is asked for? A later fragment has no ports. */
static __always_inline int is_wanted(struct __sk_buff *skb, __u32 l4, __u8 protocol)
{
#ifdef PORT
	__be16 ports[2];

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return 0;
	if (bpf_skb_load_bytes(skb, l4, ports, sizeof(ports)))
		return 0;
	return ports[0] == bpf_htons(PORT) || ports[1] == bpf_htons(PORT);
#else
	return 1;
#endif
}

static __always_inline void mark_ip4(struct __sk_buff *skb)
{
	struct iphdr ip;
	__be16 before, after;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.frag_off & bpf_htons(0x1fff))
		return;
	if (!is_wanted(skb, ETH_HLEN + ip.ihl * 4, ip.protocol))
		return;
	/* the checksum is over words of two bytes: version and header length, and the byte with the DSCP */
	__builtin_memcpy(&before, &ip, 2);
	ip.tos = (DSCP) << 2 | (ip.tos & ECN);
	__builtin_memcpy(&after, &ip, 2);
	bpf_l3_csum_replace(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, check), before, after, 2);
	bpf_skb_store_bytes(skb, ETH_HLEN, &after, 2, 0);
}

static __always_inline void mark_ip6(struct __sk_buff *skb)
{
	struct ipv6hdr ip;
	__u8 bytes[2]; /* version, traffic class, and the flow label's first four bits */

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || !is_wanted(skb, ETH_HLEN + sizeof(ip), ip.nexthdr))
		return;
	__builtin_memcpy(bytes, &ip, 2);
	bytes[0] = (bytes[0] & 0xf0) | (DSCP) >> 2;
	bytes[1] = ((DSCP) & 3) << 6 | (bytes[1] & 0x3f);
	bpf_skb_store_bytes(skb, ETH_HLEN, bytes, 2, 0);
}

SEC("tc")
int mark_dscp(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		mark_ip4(skb);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		mark_ip6(skb);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
