/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What skb->hash carries across the shaping device, which clears skb->priority: where the packet is counted, so that it
 * need not be parsed again, and in the highest bits the processor that it comes back on.
 */
#pragma once
#include "tables.h"

#define WEIR_LIMIT_PLACE (WEIR_LIMIT_CLASSES - 1)
#define WEIR_LIMIT_ROW_SHIFT 6 /* the flow's row, … */
#define WEIR_LIMIT_ROW 0x00010000 /* … if it has one */
#define WEIR_LIMIT_TCP 0x00020000
#define WEIR_LIMIT_FRAGMENT 0x00040000
#define WEIR_LIMIT_STEER_SHIFT 19
#define WEIR_LIMIT_STEER_BITS 13

/*
 * Packet steering takes processor hash * processors >> 32. A flow is steered to the one that it comes from, which is often
 * the one that takes it from the queue: to wake another costs more than all that the limit does.
 */
WEIR_INLINE __u16 steer_here(void)
{
	struct weir_config *config = weir_configuration();
	__u32 processors = config && config->processors ? config->processors : 1;
	__u32 here = bpf_get_smp_processor_id() % processors;

	return ((here << WEIR_LIMIT_STEER_BITS) + processors - 1) / processors;
}

/* What is steered elsewhere while packets are on their way may overtake them: so it is only after a pause. */
WEIR_INLINE void steer(struct weir_limit_flow *flow, __u64 now)
{
	if (flow->bytes <= 0 && flow->due <= now)
		flow->steer = steer_here();
}

/* @row: the flow's and one, or 0 */
WEIR_INLINE __u32 carried(const struct weir_limit_packet *packet, const struct weir_limit_flow *flow, __u32 row, __u32 place)
{
	__u32 steered = flow ? flow->steer : packet->hash >> WEIR_LIMIT_STEER_SHIFT;
	__u32 hash = place | steered << WEIR_LIMIT_STEER_SHIFT;

	if (flow)
		hash |= WEIR_LIMIT_ROW | (row - 1) << WEIR_LIMIT_ROW_SHIFT;
	if (packet->protocol == IPPROTO_TCP)
		hash |= WEIR_LIMIT_TCP;
	return packet->part ? hash | WEIR_LIMIT_FRAGMENT : hash;
}

/* The row that a packet was counted in, and one; 0: none. */
WEIR_INLINE __u32 carried_row(__u32 hash)
{
	return hash & WEIR_LIMIT_ROW ? (hash >> WEIR_LIMIT_ROW_SHIFT) % WEIR_LIMIT_FLOWS + 1 : 0;
}

/* A packet that has come back. Of many segments, their headers have to be read. */
WEIR_INLINE void weir_limit_returned(struct __sk_buff *skb, struct weir_limit_packet *packet)
{
	if (skb->gso_size) {
		weir_limit_parse(skb, packet);
		return;
	}
	weir_limit_size(skb, packet);
	packet->protocol = skb->hash & WEIR_LIMIT_TCP ? IPPROTO_TCP : 0;
	packet->part = skb->hash & WEIR_LIMIT_FRAGMENT ? WEIR_LIMIT_HEAD : WEIR_LIMIT_WHOLE;
}
