/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Verdicts that send a packet through one of Weir's device pairs. It returns to the same instance. Part of
 * panel.h.
 */
#pragma once
#include "panel.h"

/* Returns to this instance in segments of wire size, with weir_resumed(). */
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
 * Addresses the packet to a class of a shaping device, from which it returns to this instance, and stamps the
 * time of queueing. Returns 0, or -1: too many recirculations.
 */
WEIR_INLINE int weir_to_class(struct __sk_buff *skb, __u32 classid, __u64 now)
{
	bpf_skb_set_tstamp(skb, now, BPF_SKB_TSTAMP_DELIVERY_MONO);
	skb->priority = classid;
	return weir_depart(skb, weir_here(skb), WEIR_MARK_RESUMED);
}

/*
 * The time that the packet spent in the shaping device, ns. Clears the stamp, which a later queue would take
 * for a departure time.
 */
WEIR_INLINE __u64 weir_shape_waited(struct __sk_buff *skb, __u64 now)
{
	__u64 since = skb->tstamp_type == BPF_SKB_TSTAMP_DELIVERY_MONO ? skb->tstamp : now;

	bpf_skb_set_tstamp(skb, 0, BPF_SKB_TSTAMP_UNSPEC);
	return now > since ? now - since : 0;
}

/*
 * Charges a class with another packet of this size, which is discarded after the shaping device. Returns 0, or
 * a negative error.
 */
WEIR_INLINE long weir_shape_pad(struct __sk_buff *skb, __u32 ifindex, __u32 classid)
{
	skb->mark = WEIR_MARK_GONE;
	skb->priority = classid;
	return bpf_clone_redirect(skb, ifindex, 0);
}

/* Queues the packet in a class of a shaping device (qdisc handle). It returns here with weir_resumed(). `now` is the ktime, ns. */
WEIR_INLINE int weir_shape(struct __sk_buff *skb, __u32 ifindex, __u32 classid, __u64 now)
{
	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	if (weir_to_class(skb, classid, now))
		return weir_drop(skb, WEIR_DROP_LOOP);
	return bpf_redirect(ifindex, 0);
}

/*
 * Like weir_shape, but the packet is no longer charged to the sender's socket: a copy is queued, which has no
 * socket.
 */
WEIR_INLINE int weir_shape_detached(struct __sk_buff *skb, __u32 ifindex, __u32 classid, __u64 now)
{
	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	if (weir_to_class(skb, classid, now))
		return weir_drop(skb, WEIR_DROP_LOOP);
	if (bpf_clone_redirect(skb, ifindex, 0) < 0)
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	return weir_gone(skb); /* the copy is queued */
}

/*
 * Also holds a copy in a delaying device until a time (ktime, ns). It returns here with weir_held(). The copy
 * is not charged to a socket: TCP would otherwise not send more than it may queue on one device. Returns 0, or
 * a drop reason.
 */
WEIR_INLINE int weir_hold_copy(struct __sk_buff *skb, __u32 ifindex, __u64 until)
{
	if (weir_depart(skb, weir_here(skb), WEIR_MARK_HELD))
		return WEIR_DROP_LOOP;
	if (bpf_skb_set_tstamp(skb, until, BPF_SKB_TSTAMP_DELIVERY_MONO) || bpf_clone_redirect(skb, ifindex, 0) < 0)
		return WEIR_DROP_DELIVERY;
	return 0;
}

/* Holds the packet until a time: a copy is in the device, and only that continues. */
WEIR_INLINE int weir_hold(struct __sk_buff *skb, __u32 ifindex, __u64 until)
{
	int reason;

	if (weir_unlikely(weir_tracing(skb)))
		return weir_next(skb);
	reason = weir_hold_copy(skb, ifindex, until);
	return reason ? weir_drop(skb, reason) : weir_gone(skb);
}

/* How late a packet has returned from a delaying device, ns. */
WEIR_INLINE __u64 weir_held_late(struct __sk_buff *skb, __u64 now)
{
	if (skb->tstamp_type != BPF_SKB_TSTAMP_DELIVERY_MONO || skb->tstamp > now)
		return 0;
	return now - skb->tstamp;
}
