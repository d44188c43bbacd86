/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Verdicts that send a packet through one of Weir's device pairs, to come back to the same instance. Part of panel.h. */
#pragma once
#include "panel.h"

/* Come back to this instance in segments of the wire's size, with weir_resumed(). */
WEIR_INLINE int weir_split(struct __sk_buff *skb)
{
	struct weir_config *config = weir_configuration();

	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	if (!config || weir_depart(skb, weir_here(skb), WEIR_MARK_RESUMED))
		return weir_drop(skb, WEIR_DROP_LOOP);
	return bpf_redirect(config->split_ifindex, 0);
}

/*
 * Address the packet to a shaping device's class, to come back to this instance, with the time at which it was queued. 0,
 * or -1: it has been round too often.
 */
WEIR_INLINE int weir_to_class(struct __sk_buff *skb, __u32 classid)
{
	bpf_skb_set_tstamp(skb, bpf_ktime_get_ns(), BPF_SKB_TSTAMP_DELIVERY_MONO);
	skb->priority = classid;
	return weir_depart(skb, weir_here(skb), WEIR_MARK_RESUMED);
}

/* How long the packet was in the shaping device, ns; a later queue must not take its stamp for a time to send it. */
WEIR_INLINE __u64 weir_shape_waited(struct __sk_buff *skb, __u64 now)
{
	__u64 since = skb->tstamp_type == BPF_SKB_TSTAMP_DELIVERY_MONO ? skb->tstamp : now;

	bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC);
	return now > since ? now - since : 0;
}

/* Charge a class with one more packet of this size, which ends behind the shaping device. 0, or a negative error. */
WEIR_INLINE long weir_shape_pad(struct __sk_buff *skb, __u32 ifindex, __u32 classid)
{
	skb->mark = WEIR_MARK_GONE;
	skb->priority = classid;
	return bpf_clone_redirect(skb, ifindex, 0);
}

/* Queue in a shaping device's class (a qdisc handle); come back here with weir_resumed(). */
WEIR_INLINE int weir_shape(struct __sk_buff *skb, __u32 ifindex, __u32 classid)
{
	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	if (weir_to_class(skb, classid))
		return weir_drop(skb, WEIR_DROP_LOOP);
	return bpf_redirect(ifindex, 0);
}

/* The same, no longer charged to the sender's socket: the queue holds a copy, and copies belong to nobody. */
WEIR_INLINE int weir_shape_detached(struct __sk_buff *skb, __u32 ifindex, __u32 classid)
{
	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	if (weir_to_class(skb, classid))
		return weir_drop(skb, WEIR_DROP_LOOP);
	if (bpf_clone_redirect(skb, ifindex, 0) < 0)
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	return weir_gone(skb); /* the queue has the copy */
}

/*
 * Also hold a copy until a time (ktime, ns) in a delaying device; it comes back here with weir_held(). No socket is
 * charged for a copy: TCP would else keep no more under way than it queues on one device. 0, or a drop's reason.
 */
WEIR_INLINE int weir_hold_copy(struct __sk_buff *skb, __u32 ifindex, __u64 until)
{
	if (weir_depart(skb, weir_here(skb), WEIR_MARK_HELD))
		return WEIR_DROP_LOOP;
	if (bpf_skb_set_tstamp(skb, until, BPF_SKB_TSTAMP_DELIVERY_MONO) || bpf_clone_redirect(skb, ifindex, 0) < 0)
		return WEIR_DROP_DELIVERY;
	return 0;
}

/* Hold until then: the device has a copy, and it alone goes on. */
WEIR_INLINE int weir_hold(struct __sk_buff *skb, __u32 ifindex, __u64 until)
{
	int reason;

	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	reason = weir_hold_copy(skb, ifindex, until);
	return reason ? weir_drop(skb, reason) : weir_gone(skb);
}

/* How long after its time a packet has come back from a delaying device, ns. */
WEIR_INLINE __u64 weir_held_late(struct __sk_buff *skb, __u64 now)
{
	if (skb->tstamp_type != BPF_SKB_TSTAMP_DELIVERY_MONO || skb->tstamp > now)
		return 0;
	return now - skb->tstamp;
}
