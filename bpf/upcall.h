/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The verdict that passes a packet to userspace. Part of panel.h. */
#pragma once
#include "panel.h"

#define WEIR_UPCALL_BYTES 2048
struct weir_upcall {
	__u64 time; /* ktime, ns */
	__u32 port;
	__u32 reason; /* defined by the function */
	__u32 ifindex;
	__u32 len; /* length of the packet; data has at most WEIR_UPCALL_BYTES of it */
	__u8 data[WEIR_UPCALL_BYTES];
};

/* theoretical arrival time (GCRA, ns) of the next slow-path packet, per port */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, WEIR_PORTS);
} weir_up_rates SEC(".maps");
#define WEIR_UP_INTERVAL 1000000ULL /* 1000 packets/s per port */
#define WEIR_UP_BURST 100000000ULL  /* bursts of 100 */

/* Passes the packet to userspace, within the port's rate. */
WEIR_INLINE int weir_up(struct __sk_buff *skb, __u32 reason)
{
	__u32 port = weir_port(skb);
	__u64 now = bpf_ktime_get_ns(), *next = bpf_map_lookup_elem(&weir_up_rates, &port);
	struct weir_upcall *up;

	if (weir_unlikely(weir_tracing(skb)))
		return weir_drop(skb, WEIR_DROP_TRACED);
	if (!next || *next > now + WEIR_UP_BURST)
		return weir_drop(skb, WEIR_DROP_SLOW_PATH);
	*next = (*next > now ? *next : now) + WEIR_UP_INTERVAL;
	up = bpf_ringbuf_reserve(&weir_upcalls, sizeof(*up), 0);
	if (!up)
		return weir_drop(skb, WEIR_DROP_SLOW_PATH);
	up->time = now;
	up->port = port;
	up->reason = reason;
	up->ifindex = skb->ifindex;
	up->len = skb->len;
	if (weir_head(skb, up->data, WEIR_UPCALL_BYTES)) {
		bpf_ringbuf_discard(up, 0);
		return weir_drop(skb, WEIR_DROP_MALFORMED);
	}
	bpf_ringbuf_submit(up, 0);
	return weir_gone(skb); /* userspace has it */
}
