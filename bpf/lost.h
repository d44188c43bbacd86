/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets that end here: counts and reports drops, and discards packets. Part of panel.h. */
#pragma once
#include "panel.h"

/*
 * Copies up to `size` of the packet's first bytes. The barrier puts the length into a register of its own: the
 * verifier of Linux 6.1 loses a bound that was checked on a copy of a spilled value.
 */
WEIR_INLINE long weir_head(struct __sk_buff *skb, void *to, const __u32 size)
{
	__u32 len = skb->len;

	barrier_var(len);
	if (len < 14)
		return -1;
	if (len > size)
		len = size;
	return bpf_skb_load_bytes(skb, 0, to, len);
}

/*
 * Ends a packet that is lost, whose copy continues, or that userspace has. Local TCP must not notice: on a
 * device's egress TC_ACT_SHOT returns an error to the sender, which would slow down. Such a packet is sent to
 * the recirculation pair, which discards it.
 */
WEIR_INLINE int weir_gone(struct __sk_buff *skb)
{
	struct weir_config *config = weir_configuration();

	if (!(weir_get(skb, state) & WEIR_META_LEAVING) || !skb->sk || !config)
		return TC_ACT_SHOT;
	/* assembly for the same reason as weir_set */
	asm volatile("*(u32 *)(%0 + %2) = %1"
		     :
		     : "r"(skb), "r"(WEIR_MARK_GONE), "i"(__builtin_offsetof(struct __sk_buff, mark))
		     : "memory");
	return bpf_redirect(config->recirc_ifindex, 0);
}

/*
 * Counts a drop. Gives no verdict, since the packet may continue as another one, e.g. as an ICMP
 * error.
 *
 * @instance: the instance that dropped it; 0: the panel itself
 * @rule: the instance's rule that dropped it; 0: none
 */
WEIR_RARE void weir_count_drop_of(struct __sk_buff *skb, enum weir_drop_reason reason, __u32 instance, __u32 rule)
{
	struct weir_drop_key key = {
		.port = weir_port(skb),
		.instance = instance,
		.rule = rule,
		.reason = reason,
		.direction = weir_chain(skb),
	};
	struct weir_count *count, first = {};

	if (weir_unlikely(weir_tracing(skb))) {
		weir_trace_add(skb, weir_get(skb, hop), 0, WEIR_OP_DOWN, reason);
		return;
	}
	count = bpf_map_lookup_elem(&weir_drops, &key);
	if (!count) {
		bpf_map_update_elem(&weir_drops, &key, &first, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&weir_drops, &key);
	}
	if (count)
		weir_count_add(count, skb);
}

WEIR_INLINE void weir_count_drop(struct __sk_buff *skb, enum weir_drop_reason reason)
{
	weir_count_drop_of(skb, reason, weir_instance(skb), 0);
}

WEIR_RARE int weir_lose(struct __sk_buff *skb, enum weir_drop_reason reason, __u32 instance, __u32 rule)
{
	weir_count_drop_of(skb, reason, instance, rule);
	return weir_gone(skb);
}

/* A function drops the packet. */
WEIR_INLINE int weir_drop(struct __sk_buff *skb, enum weir_drop_reason reason)
{
	return weir_lose(skb, reason, weir_instance(skb), 0);
}

/* A rule of a function drops the packet. */
WEIR_INLINE int weir_drop_by(struct __sk_buff *skb, enum weir_drop_reason reason, __u32 rule)
{
	return weir_lose(skb, reason, weir_instance(skb), rule);
}

/* The panel drops a packet that it cannot deliver. */
WEIR_INLINE int weir_undeliverable(struct __sk_buff *skb, enum weir_drop_reason reason)
{
	return weir_lose(skb, reason, 0, 0);
}
