/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The value of skb->hash across the shaping device, which clears skb->priority: the packet's flow row and
 * place, so that it is not parsed again, and in the highest bits the processor to which it is steered.
 */
#pragma once
#include "tables.h"

#define WEIR_LIMIT_PLACE (WEIR_LIMIT_CLASSES - 1)
#define WEIR_LIMIT_ROW_SHIFT 6 /* the flow's row */
#define WEIR_LIMIT_ROW 0x00010000 /* set if there is a row */
#define WEIR_LIMIT_TCP 0x00020000
#define WEIR_LIMIT_FRAGMENT 0x00040000
#define WEIR_LIMIT_STEER_SHIFT 19
#define WEIR_LIMIT_STEER_BITS 13

/*
 * Receive packet steering selects processor hash * processors >> 32. A flow is steered to the processor it
 * comes from, which is often the one that dequeues it: waking another one costs more than the limit itself.
 */
WEIR_INLINE __u16 steer_here(void)
{
	struct weir_config *config = weir_configuration();
	__u32 processors = config && config->processors ? config->processors : 1;
	__u32 here = bpf_get_smp_processor_id() % processors;

	return ((here << WEIR_LIMIT_STEER_BITS) + processors - 1) / processors;
}

/* A flow whose steering changes with packets under way could be reordered, so it only changes after a pause. */
WEIR_INLINE void steer(struct weir_limit_flow *flow, __u64 now)
{
	if (flow->bytes <= 0 && flow->due <= now)
		flow->steer = steer_here();
}

/* @row: row number + 1, or 0 */
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

/* Number + 1 of the row in which a packet was counted; 0: none. */
WEIR_INLINE __u32 carried_row(__u32 hash)
{
	return hash & WEIR_LIMIT_ROW ? (hash >> WEIR_LIMIT_ROW_SHIFT) % WEIR_LIMIT_FLOWS + 1 : 0;
}

/* Restores a returned packet's metadata. The headers of a GSO packet have to be read again. */
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
