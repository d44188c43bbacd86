/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Bandwidth limit: a transparent function in a port's chain. Decides whether a packet is queued and in which
 * class of the shaping device, and sends it there. When the packet comes back at its time, it is counted and
 * passed on. HTB enforces the rate; this program does everything else.
 */
#include <linux/in.h>
#include "measure.h"

/* Records the decision about a first fragment, which applies to its datagram. */
WEIR_INLINE void note_head(struct weir_limit_queue *queue, const struct weir_limit_packet *packet, __u32 place)
{
	struct weir_limit_datagram *datagram = &queue->datagrams[packet->datagram & (WEIR_LIMIT_DATAGRAMS - 1)];

	datagram->tag = packet->datagram;
	datagram->hash = place ? packet->hash : 0;
	datagram->bytes = packet->bytes;
	datagram->place = place;
}

/*
 * A later fragment has no ports. It belongs to the flow of the first fragment, and is dropped if that or an
 * earlier one was. Returns 0 if the first fragment is unknown, or if more bytes were seen than a datagram can
 * have.
 */
WEIR_INLINE struct weir_limit_datagram *datagram_of(struct weir_limit_queue *queue, struct weir_limit_packet *packet)
{
	struct weir_limit_datagram *datagram = &queue->datagrams[packet->datagram & (WEIR_LIMIT_DATAGRAMS - 1)];

	if (packet->part != WEIR_LIMIT_LATER || datagram->tag != packet->datagram)
		return 0;
	if (datagram->bytes + packet->bytes > WEIR_LIMIT_DATAGRAM)
		return 0;
	packet->hash = datagram->hash;
	packet->before = datagram->bytes;
	datagram->bytes += packet->bytes;
	return datagram;
}

/*
 * Returns the place (class) where the packet is queued, and counts its bytes in; 0: it is refused. Flags:
 * WEIR_LIMIT_HALF, its queue is half full; WEIR_LIMIT_COLD, its class could let it overtake its flow. Sets the
 * packet's hash to the carried value. A function of its own, so that the verifier walks it once.
 */
__attribute__((noinline)) __u32 weir_limit_admit(const struct weir_limit *limit, struct weir_limit_queue *queue,
						  struct weir_limit_packet *packet, int charged, __u64 now)
{
	struct weir_limit_datagram *datagram;
	struct weir_limit_flow *flow;
	__u32 place, row, marks = 0;
	int room = 1;

	if (!limit || !queue || !packet)
		return 0;
	sweep(limit, queue, now);
	datagram = datagram_of(queue, packet);
	if (!packet->hash)
		return 0;
	row = row_for(queue, packet->hash);
	flow = flow_at(queue, row);
	if (flow)
		steer(flow, now);
	if (datagram)
		place = place_of_later(limit, queue, flow, packet, datagram->place, now);
	else
		place = place_for(limit, queue, flow && had_no_row(queue, flow, packet->hash, now) ? 0 : flow, packet, now);
	if (packet->part && !datagram_has_room(limit, queue, place, packet))
		place = 0;
	if (place > WEIR_LIMIT_FIRST && !packet->before) {
		room = has_room(limit, queue, place, packet, charged);
		if (!room)
			room = forget_stale(limit, queue, place, now);
		if (!room)
			place = 0;
	}
	if (packet->part == WEIR_LIMIT_HEAD)
		note_head(queue, packet, place);
	if (!place) {
		if (datagram)
			datagram->hash = 0;
		return 0;
	}
	if (room == 2)
		marks = WEIR_LIMIT_HALF;
	if (flow && is_cold(queue, flow, place, now))
		marks |= WEIR_LIMIT_COLD;
	if (flow && !(datagram && flow->bytes > 0))
		flow->place = place;
	if (!flow)
		*crowd_at(queue, packet->hash) = (now >> 20) + WEIR_LIMIT_CROWD;
	queue_add(queue, flow, place, packet, now);
	packet->hash = carried(packet, flow, row, place);
	return place | marks;
}

/*
 * HTB charges too little for unsplit packets. The debt is paid with a copy of a packet from time to time, which
 * is discarded after the shaping device.
 */
WEIR_INLINE void charge(struct __sk_buff *skb, const struct weir_limit *limit, struct weir_limit_queue *queue,
			const struct weir_limit_packet *packet, __u32 place)
{
	__u32 tabled = weir_limit_tabled(skb->len), charged = tabled;
	__s64 debt;

	if (place > WEIR_LIMIT_SHARED && tabled > limit->split && skb->gso_segs > 1)
		charged = packet->bytes + packet->packets * WEIR_LIMIT_ETH;
	debt = (__s64)packet->bytes * WEIR_LIMIT_CHARGE - (__s64)charged * WEIR_LIMIT_UNIT;
	debt += __sync_fetch_and_add(&queue->debt, debt);
	if (debt < (__s64)charged * WEIR_LIMIT_UNIT || weir_shape_pad(skb, limit->device, limit->block + place))
		return;
	__sync_fetch_and_add(&queue->debt, -(__s64)charged * WEIR_LIMIT_UNIT);
}

/*
 * A class that has been idle lets one packet pass out of turn. A copy uses this up first, and its charge counts
 * as paid.
 */
WEIR_INLINE void warm(struct __sk_buff *skb, const struct weir_limit *limit, struct weir_limit_queue *queue, __u32 place)
{
	if (!weir_shape_pad(skb, limit->device, limit->block + place))
		__sync_fetch_and_add(&queue->debt, -(__s64)weir_limit_tabled(skb->len) * WEIR_LIMIT_UNIT);
}

/* The packet is back at its time. */
WEIR_INLINE int leave(struct __sk_buff *skb, struct weir_limit_key *key, const struct weir_limit *limit,
		      const struct weir_limit_packet *packet)
{
	struct weir_limit_use *use = weir_limit_used(key);
	struct weir_limit_queue *queue = bpf_map_lookup_elem(&weir_limit_queue, key);
	__u64 now = bpf_ktime_get_ns(), wait = weir_shape_waited(skb, now);
	__u32 hash = skb->hash, place = hash & WEIR_LIMIT_PLACE;

	if (queue)
		queue_remove(queue, place, packet, carried_row(hash), now);
	bpf_set_hash_invalid(skb);
	if (!use)
		return weir_next(skb);
	if (queue && waited_too_long(limit, queue, packet, place, wait)) {
		refuse(use, packet);
		return weir_drop(skb, WEIR_DROP_RATE_LIMIT);
	}
	measure(use, packet, now, limit->idle, wait);
	return weir_next(skb);
}

/* A new packet. A local sender whose socket is charged for queued packets slows down by itself. */
WEIR_INLINE int arrive(struct __sk_buff *skb, struct weir_limit_key *key, const struct weir_limit *limit,
		       struct weir_limit_packet *packet)
{
	struct weir_limit_queue *queue = weir_limit_queued(key);
	struct weir_limit_use *use = weir_limit_used(key);
	int charged = limit->deep && packet->protocol == IPPROTO_TCP && !packet->opening && skb->sk;
	__u64 now = bpf_ktime_get_ns();
	__u32 place;

	if (!queue || !use)
		return weir_next(skb);
	place = weir_limit_admit(limit, queue, packet, charged, now);
	receive(use, packet, place);
	if (!place)
		return weir_drop(skb, WEIR_DROP_RATE_LIMIT);
	if (place & WEIR_LIMIT_HALF && packet->ect && bpf_skb_ecn_set_ce(skb) == 1)
		__sync_fetch_and_add(&use->marked_packets, packet->packets);
	bpf_set_hash(skb, packet->hash);
	if (place & WEIR_LIMIT_COLD)
		warm(skb, limit, queue, place & WEIR_LIMIT_PLACE);
	place &= WEIR_LIMIT_PLACE;
	charge(skb, limit, queue, packet, place);
	/* on a receiver's limit no local sender is charged, so TCP is paced by acknowledgements as usual */
	if (!limit->deep && skb->sk)
		return weir_shape_detached(skb, limit->device, limit->block + place, now);
	return weir_shape(skb, limit->device, limit->block + place, now);
}

SEC("tc")
int weir_limit(struct __sk_buff *skb)
{
	struct weir_limit_key key = { .instance = weir_instance(skb) };
	struct weir_limit *limit = bpf_map_lookup_elem(&weir_limits, &key);
	struct weir_limit_packet packet = {};

	if (!limit || !limit->device || weir_link_control(skb) || weir_tracing(skb))
		return weir_next(skb);
	if (weir_resumed(skb)) {
		weir_limit_returned(skb, &packet);
		return leave(skb, &key, limit, &packet);
	}
	weir_limit_parse(skb, &packet);
	return arrive(skb, &key, limit, &packet);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
