/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Lets RATE new TCP connections a second pass, BURST at once: ebpf-limit: "limit-syns ingress -DRATE=50 -DBURST=10" */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SECOND 1000000000ULL
#define SYN 0x02
#define ACK 0x10

/* Theoretical arrival time of the next SYN, ns (GCRA): one number is a whole token bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} next_syn SEC(".maps");

/* A segment that opens a connection. */
static __always_inline int is_syn(struct __sk_buff *skb)
{
	__u32 l4;
	__u8 flags;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP ||
		    ip.frag_off & bpf_htons(0x1fff))
			return 0;
		l4 = ETH_HLEN + ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP)
			return 0;
		l4 = ETH_HLEN + sizeof(ip);
	} else {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, l4 + 13, &flags, 1))
		return 0;
	return (flags & (SYN | ACK)) == SYN;
}

SEC("tc")
int limit_syns(struct __sk_buff *skb)
{
	__u64 now, at, cost = SECOND / (RATE);
	__u32 zero = 0;
	__u64 *next;

	if (!is_syn(skb))
		return TC_ACT_OK;
	next = bpf_map_lookup_elem(&next_syn, &zero);
	if (!next)
		return TC_ACT_OK;
	now = bpf_ktime_get_ns();
	at = *next > now ? *next : now;
	if (at > now + ((BURST) - 1) * cost)
		return TC_ACT_SHOT;
	*next = at + cost;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
