/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Impairments: a transparent function in a port's chain. Drops, duplicates, corrupts, reorders, delays and
 * paces packets by a rule. It processes single packets as they are on the wire, not GSO packets, so that TCP
 * sees a lost packet as a real loss.
 */
#include "link.h"
#include "match.h"
#include "tables.h"

#define ALWAYS (1ULL << 32)
#define SECOND 1000000000ULL
#define PACE_QUEUE (2 * SECOND) /* the longest that a paced packet waits for earlier ones */
#define PACE_TRIES 8

/* The purpose of a draw. Seeded draws for one packet differ by it. */
enum purpose { LOSS, STATE, DUPLICATE, CORRUPT, PLACE, REORDER, JITTER };

/*
 * The finalizer of SplitMix64 (Steele, Lea, Flood 2014): changing one bit of the input changes half of the
 * output bits.
 */
WEIR_INLINE __u64 mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* 32 random bits, or the bits that the seed determines for this packet. */
WEIR_INLINE __u32 draw(const struct weir_impair *rule, __u64 index, enum purpose purpose)
{
	if (!(rule->flags & WEIR_IMPAIR_SEEDED))
		return bpf_get_prandom_u32();
	return mix(mix(rule->seed + 0x9e3779b97f4a7c15ULL * (index + 1)) + purpose) >> 32;
}

WEIR_INLINE int happens(const struct weir_impair *rule, __u64 index, enum purpose purpose, __u64 probability)
{
	if (!probability)
		return 0;
	return probability >= ALWAYS || draw(rule, index, purpose) < probability;
}

WEIR_INLINE int is_lost(const struct weir_impair *rule, struct weir_impair_use *use, __u64 index)
{
	__u32 bad = use->bad;

	if (!(rule->flags & WEIR_IMPAIR_BURST))
		return happens(rule, index, LOSS, rule->loss);
	if (happens(rule, index, STATE, bad ? rule->to_good : rule->to_bad)) {
		__sync_val_compare_and_swap(&use->bad, bad, !bad); /* only one of two CPUs changes the state */
		bad = !bad;
	}
	return happens(rule, index, LOSS, bad ? rule->loss_bad : rule->loss);
}

/* Bytes of the layer-4 header; 0: another protocol, whose payload offset is unknown. */
WEIR_INLINE __u32 header_bytes(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 words;

	switch (packet->protocol) {
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_TCP:
		if (bpf_skb_load_bytes(skb, packet->offset + 12, &words, 1) || words >> 4 < 5)
			return 0;
		return (words >> 4) * 4;
	}
	return 0;
}

/*
 * Flips one bit of the payload, if there is any. The checksum is not updated, and the device's checksum result
 * is cleared, so the receiver verifies it and finds the error. After the splitting pair all checksums are
 * filled in.
 */
WEIR_INLINE int flip(struct __sk_buff *skb, const struct packet *packet, __u32 random)
{
	__u32 header = packet->offset ? header_bytes(skb, packet) : 0;
	__u32 begin = packet->offset + header, len = skb->len;
	__u32 at;
	__u8 byte;

	if (!header || begin >= len)
		return 0;
	at = begin + (random >> 3) % (len - begin);
	if (bpf_skb_load_bytes(skb, at, &byte, 1))
		return 0;
	byte ^= 1 << (random & 7);
	if (bpf_skb_store_bytes(skb, at, &byte, 1, 0))
		return 0;
	bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET);
	return 1;
}

/*
 * The time at which a paced packet may leave after earlier ones, ktime; 0: the queue is full. CPUs take turns.
 */
WEIR_INLINE __u64 paced_at(struct weir_impair_use *use, __u64 cost, __u64 now)
{
	for (int i = 0; i < PACE_TRIES; i++) {
		__u64 next = use->next, at = next > now ? next : now;

		if (at > now + PACE_QUEUE)
			return 0;
		if (__sync_val_compare_and_swap(&use->next, next, at + cost) == next)
			return at;
	}
	return 0;
}

/*
 * The time at which a packet may leave: after earlier ones at the rate, then after its delay. 0: the queue is
 * full.
 */
WEIR_INLINE __u64 leaves_at(const struct weir_impair *rule, struct weir_impair_use *use, __u64 index, __u32 bytes,
			    __u64 now)
{
	__u64 at = now;

	if (rule->pace)
		at = paced_at(use, bytes * 8 * SECOND / rule->pace, now);
	if (!at)
		return 0;
	if (!rule->delay || happens(rule, index, REORDER, rule->reorder)) {
		if (rule->delay)
			__sync_fetch_and_add(&use->reordered, 1);
		return at;
	}
	at += rule->delay;
	if (rule->jitter)
		at += ((2 * rule->jitter) * (__u64)(draw(rule, index, JITTER) >> 8) >> 24) - rule->jitter;
	return at;
}

WEIR_INLINE struct weir_impair_use *find_use(struct weir_impair_key *key, __u32 epoch)
{
	struct weir_impair_use *use = bpf_map_lookup_elem(&weir_impair_use, key), first = { .epoch = epoch };

	if (!use) {
		bpf_map_update_elem(&weir_impair_use, key, &first, BPF_NOEXIST);
		return bpf_map_lookup_elem(&weir_impair_use, key);
	}
	if (use->epoch != epoch) {
		use->epoch = epoch;
		use->index = 0;
		use->next = 0;
		use->bad = 0;
		use->was_lost = 0;
	}
	return use;
}

/* A loss begins a burst unless the previous packet was lost too. Concurrent CPUs may miscount. */
WEIR_INLINE void count_loss(struct weir_impair_use *use)
{
	__sync_fetch_and_add(&use->lost, 1);
	if (!use->was_lost)
		__sync_fetch_and_add(&use->bursts, 1);
	use->was_lost = 1;
}

/* Corrupts a packet that has a payload. Counts in both cases. */
WEIR_INLINE void corrupt(struct __sk_buff *skb, const struct packet *packet, struct weir_impair_use *use, __u32 random)
{
	if (flip(skb, packet, random))
		__sync_fetch_and_add(&use->corrupted, 1);
	else
		__sync_fetch_and_add(&use->spared, 1);
}

/* The packet is back from the delaying device: counts how late it is, and passes it on. */
WEIR_INLINE int release(struct __sk_buff *skb, struct weir_impair_key *key)
{
	struct weir_impair_use *use = bpf_map_lookup_elem(&weir_impair_use, key);

	if (use) {
		__sync_fetch_and_add(&use->late, weir_held_late(skb, bpf_ktime_get_ns()));
		__sync_fetch_and_add(&use->released, 1);
	}
	return weir_next(skb);
}

/* Sends the packet at its time, and its duplicate. */
WEIR_INLINE int send(struct __sk_buff *skb, const struct weir_impair *rule, struct weir_impair_use *use, __u64 index,
		     __u32 bytes)
{
	int twice = happens(rule, index, DUPLICATE, rule->duplicate);
	__u64 now = bpf_ktime_get_ns(), at = rule->device ? leaves_at(rule, use, index, bytes, now) : now;

	if (!at)
		return weir_drop(skb, WEIR_DROP_RATE_LIMIT);
	if (twice && !(at > now ? weir_hold_copy(skb, rule->device, at) : weir_clone_next(skb)))
		__sync_fetch_and_add(&use->duplicated, 1);
	if (at <= now)
		return weir_next(skb);
	__sync_fetch_and_add(&use->delayed, 1);
	__sync_fetch_and_add(&use->waited, at - now);
	return weir_hold(skb, rule->device, at);
}

SEC("tc")
int weir_impair(struct __sk_buff *skb)
{
	struct weir_impair_key key = { .instance = weir_instance(skb) };
	struct weir_impair *rule = bpf_map_lookup_elem(&weir_impairs, &key);
	struct weir_impair_use *use;
	struct packet packet;
	__u64 index;
	__u32 bytes;

	if (weir_held(skb))
		return release(skb, &key);
	if (!rule || weir_link_control(skb))
		return weir_next(skb);
	if (!weir_wire(skb))
		return weir_split(skb);
	if (weir_tracing(skb) || (rule->flags & WEIR_IMPAIR_LEASED && !weir_leased(key.instance)))
		return weir_next(skb);
	if (read_packet(skb, &packet, rule->flags & WEIR_IMPAIR_EGRESS) || !matches(rule, &packet, key.instance))
		return weir_next(skb);
	use = find_use(&key, rule->epoch);
	if (!use)
		return weir_next(skb);
	bytes = skb->len - ETH_HLEN;
	index = __sync_fetch_and_add(&use->index, 1);
	__sync_fetch_and_add(&use->packets, 1);
	__sync_fetch_and_add(&use->bytes, bytes);
	if (is_lost(rule, use, index)) {
		count_loss(use);
		return weir_drop(skb, WEIR_DROP_IMPAIRED);
	}
	if (use->was_lost)
		use->was_lost = 0;
	if (happens(rule, index, CORRUPT, rule->corrupt))
		corrupt(skb, &packet, use, draw(rule, index, PLACE));
	return send(skb, rule, use, index, bytes);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
