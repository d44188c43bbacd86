/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors of the router: time exceeded, unreachable, packet too big. Rate-limited per port. */
#pragma once
#include "tables.h"

/* Per port: 100 errors/s in bursts of 64. */
const volatile __u64 weir_rt_icmp_interval = 10000000;
const volatile __u64 weir_rt_icmp_burst = 640000000;

/*
 * Whether this port may send one more error. Kept as a timestamp rather than a count, so that no refill can
 * starve or overflow.
 */
WEIR_INLINE int rt_icmp_allowed(struct __sk_buff *skb, __u32 port)
{
	__u64 now = bpf_ktime_get_ns(), *next = bpf_map_lookup_elem(&weir_rt_icmp, &port), before, after;

	if (!next)
		return 0;
	if (weir_tracing(skb))
		return 1;
	before = *next;
	after = (before > now ? before : now) + weir_rt_icmp_interval;
	if (after > now + weir_rt_icmp_burst)
		return 0;
	return __sync_val_compare_and_swap(next, before, after) == before; /* another CPU was faster: this error is not sent */
}

WEIR_INLINE enum weir_drop_reason rt_reason(enum weir_icmp_error error)
{
	switch (error) {
	case WEIR_ICMP_EXPIRED:
		return WEIR_DROP_TTL;
	case WEIR_ICMP_TOO_BIG:
		return WEIR_DROP_TOO_BIG;
	case WEIR_ICMP_PORT:
		return WEIR_DROP_PROTOCOL;
	default:
		return WEIR_DROP_NO_ROUTE;
	}
}

/* Turns the packet into an error to its sender. The packet itself is counted as dropped. */
static __noinline int rt_error4(struct __sk_buff *skb, struct rt_run *run, enum weir_icmp_error error)
{
	enum weir_drop_reason reason = rt_reason(error);
	struct weir_icmp_frame *frame;
	struct weir_cursor cursor = weir_cursor(skb);
	struct ethhdr *eth = weir_parse_eth(&cursor);
	struct iphdr *ip = eth ? weir_parse_ip4(&cursor, skb) : 0;
	__u32 zero = 0;
	__be32 from;

	__builtin_memcpy(&from, run->in->gateway4, 4);
	frame = bpf_map_lookup_elem(&weir_rt_frame, &zero);
	if (!ip || !frame || !from || !weir_icmp4_may_answer(skb, ip))
		return RT_DROP(reason);
	if (!rt_icmp_allowed(skb, run->port))
		return RT_DROP(WEIR_DROP_ICMP_LIMIT);
	weir_count_drop(skb, reason);
	if (weir_icmp4_answer(skb, frame, eth, ip, run->in->mac, from, error, run->mtu))
		return RT_GONE;
	return rt_answer_port(run);
}

static __noinline int rt_error6(struct __sk_buff *skb, struct rt_run *run, enum weir_icmp_error error)
{
	enum weir_drop_reason reason = rt_reason(error);
	struct weir_icmp_frame *frame;
	struct weir_cursor cursor = weir_cursor(skb);
	struct ethhdr *eth = weir_parse_eth(&cursor);
	struct ipv6hdr *ip6 = eth ? weir_parse_ip6(&cursor) : 0;
	const struct in6_addr *from = (void *)run->in->gateway6;
	__u32 zero = 0;

	frame = bpf_map_lookup_elem(&weir_rt_frame, &zero);
	if (!ip6 || !frame || weir_ip6_unspecified(from) || !weir_icmp6_may_answer(skb, ip6))
		return RT_DROP(reason);
	if (!rt_icmp_allowed(skb, run->port))
		return RT_DROP(WEIR_DROP_ICMP_LIMIT);
	weir_count_drop(skb, reason);
	if (weir_icmp6_answer(skb, frame, eth, ip6, run->in->mac, run->in->gateway6, error, run->mtu))
		return RT_GONE;
	return rt_answer_port(run);
}
