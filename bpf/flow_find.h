/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Finding a flow: one hash, one cache line of tags, one row; for replies of a translated flow one more
 * reference. Part of flow.h.
 */
#pragma once
#include "flow.h"

#define WEIR_FLOW_LANES 0x0001000100010001ULL /* four tags in a word */
#define WEIR_FLOW_WORDS (WEIR_FLOW_WAYS / 4)
#define WEIR_FLOW_TRIES 4 /* rows with the same tag that are compared; two equal tags have probability 10^-3 */

/*
 * Hash of one end of a flow. NH, a universal hash: the sums of two ends rarely collide, whatever the ends are.
 * The multiplication keeps the ends of two flows from being exchanged without changing the sum.
 */
WEIR_INLINE __u64 weir_flow_hash_end(const struct weir_flow_config *config, const __u8 *address, __be16 port)
{
	const __u32 *word = (const __u32 *)address, *key = config->key;
	__u64 sum = (__u64)(word[0] + key[0]) * (__u32)(word[1] + key[1]) +
		    (__u64)(word[2] + key[2]) * (__u32)(word[3] + key[3]) +
		    (__u64)(port + key[4]) * key[5];

	sum ^= sum >> 32;
	return sum * config->mix[0];
}

/* The hash of a tuple, equal for both directions. Bits from 40 select the bucket, bits from 24 the tag. */
WEIR_INLINE __u64 weir_flow_hash(const struct weir_flow_config *config, const struct weir_flow_tuple *tuple)
{
	__u32 kind = tuple->family << 8 | tuple->protocol;
	__u64 sum = weir_flow_hash_end(config, tuple->src, tuple->src_port) +
		    weir_flow_hash_end(config, tuple->dst, tuple->dst_port) +
		    (__u64)(tuple->zone + config->key[6]) * (__u32)(kind + config->key[7]);

	sum ^= sum >> 29;
	return sum * config->mix[1];
}

WEIR_INLINE __u32 weir_flow_index(const struct weir_flow_config *config, __u64 hash)
{
	return (__u32)(hash >> 40) & config->mask;
}

WEIR_INLINE __u16 weir_flow_tag(__u64 hash)
{
	__u16 tag = hash >> 24;

	return tag ? tag : 1;
}

enum { WEIR_FLOW_DIFFERS = 0, WEIR_FLOW_FORWARD = 1, WEIR_FLOW_BACKWARD = 2 };

/* Compares a tuple with a row's, in both directions. */
WEIR_INLINE int weir_flow_compare(const struct weir_flow_tuple *row, const struct weir_flow_tuple *tuple)
{
	const __u64 *a = (const __u64 *)row, *b = (const __u64 *)tuple;
	__u32 a_ports = *(const __u32 *)&row->src_port, b_ports = *(const __u32 *)&tuple->src_port;

	if (a[0] != b[0])
		return WEIR_FLOW_DIFFERS;
	if (!((a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a_ports ^ b_ports)))
		return WEIR_FLOW_FORWARD;
	if (row->family & WEIR_FLOW_PART) /* a datagram's identification has one direction */
		return WEIR_FLOW_DIFFERS;
	b_ports = b_ports >> 16 | b_ports << 16;
	if (!((a[1] ^ b[3]) | (a[2] ^ b[4]) | (a[3] ^ b[1]) | (a[4] ^ b[2]) | (a_ports ^ b_ports)))
		return WEIR_FLOW_BACKWARD;
	return WEIR_FLOW_DIFFERS;
}

/*
 * Without branches: each would double the paths that the verifier walks, and the compiler cannot otherwise tell
 * it that a number is below 32.
 */
WEIR_INLINE __u32 weir_flow_is_zero(__u32 value)
{
	return ((__u64)value - 1) >> 63;
}

/* Index of the lowest bit that is set. */
WEIR_INLINE __u32 weir_flow_lowest(__u32 bits)
{
	__u32 bit = bits & -bits;

	return 31 - (weir_flow_is_zero(bit & 0xaaaaaaaa) | weir_flow_is_zero(bit & 0xcccccccc) << 1 |
		     weir_flow_is_zero(bit & 0xf0f0f0f0) << 2 | weir_flow_is_zero(bit & 0xff00ff00) << 3 |
		     weir_flow_is_zero(bit & 0xffff0000) << 4);
}

/* A bit for each way with this tag. May include a way above a real match, so rows are compared. */
WEIR_INLINE __u32 weir_flow_candidates(const struct weir_flow_bucket *bucket, __u16 tag)
{
	const volatile __u64 *tags = (const volatile __u64 *)bucket->tag;
	__u32 ways = 0;

#pragma unroll
	for (__u32 word = 0; word < WEIR_FLOW_WORDS; word++) {
		__u64 lanes = tags[word] ^ tag * WEIR_FLOW_LANES;

		/* the highest bit of each lane that is 0, then these four bits side by side */
		lanes = (lanes - WEIR_FLOW_LANES) & ~lanes & WEIR_FLOW_LANES << 15;
		ways |= ((lanes >> 15) * 0x0001000200040008ULL >> 48 & 0xf) << word * 4;
	}
	return ways;
}

/* The stamp of a row; 0: it is being written. */
WEIR_INLINE __u32 weir_flow_stamp(const struct weir_flow *row)
{
	__u32 stamp = *(const volatile __u32 *)&row->stamp;

	return stamp & 1 ? 0 : stamp;
}

/*
 * The way of a bucket with this tuple, and in *how its direction; WEIR_FLOW_WAYS: none. A row may be replaced
 * during the search, which holds no lock: it only counts if its stamp is the same before and after.
 */
WEIR_INLINE __u32 weir_flow_search(struct weir_flow_bucket *bucket, __u16 tag, const struct weir_flow_tuple *tuple,
				   __u32 *how, __u32 *stamp)
{
	__u32 ways = weir_flow_candidates(bucket, tag);

#pragma clang loop unroll(disable)
	for (int tries = 0; tries < WEIR_FLOW_TRIES && ways; tries++) {
		__u32 way = weir_flow_lowest(ways);
		struct weir_flow *row;

		barrier_var(way); /* keeps the bound for the verifier of Linux 6.1 */
		way &= WEIR_FLOW_WAYS - 1;
		row = &bucket->row[way];
		*stamp = weir_flow_stamp(row);
		barrier();
		*how = weir_flow_compare(&row->original, tuple);
		barrier();
		if (*how && *stamp && *stamp == weir_flow_stamp(row))
			return way;
		ways &= ways - 1;
	}
	return WEIR_FLOW_WAYS;
}

/* Follows a reference to a row. Fails if the row has been reused. */
WEIR_INLINE int weir_flow_follow(__u64 twin, struct weir_flow_match *match)
{
	__u32 place = twin >> 32;
	struct weir_flow_bucket *bucket = weir_flow_bucket_of(place >> WEIR_FLOW_PLACE_SHIFT);

	if (!bucket || !(__u32)twin)
		return -1;
	match->bucket = bucket;
	match->place = place;
	match->flow = &bucket->row[weir_flow_way(place)];
	match->stamp = twin;
	return weir_flow_stamp(match->flow) == (__u32)twin ? 0 : -1;
}

/* Whether the flow has not expired. */
WEIR_INLINE int weir_flow_lives(const struct weir_flow_match *match, __u32 now)
{
	return weir_flow_alive(match->bucket->expires[weir_flow_way(match->place)], now);
}

/* The live flow of an alias. */
WEIR_INLINE struct weir_flow *weir_flow_by_alias(struct weir_flow *alias, __u32 stamp, __u32 now,
						 struct weir_flow_match *match)
{
	__u64 twin = *(volatile __u64 *)&alias->twin;
	__u8 ends = alias->ends;

	match->translated = alias->kind == WEIR_FLOW_TRANSLATED || ends & WEIR_FLOW_AFTER;
	if (ends & WEIR_FLOW_REVERSED)
		match->reversed = 1;
	barrier();
	if (weir_flow_stamp(alias) != stamp || weir_flow_follow(twin, match) || !weir_flow_lives(match, now))
		match->flow = 0;
	return match->flow;
}

/*
 * The live flow of a packet's tuple, in any of its four forms: of either direction, before or after
 * translation. 0: there is none, and match->flow is 0.
 */
WEIR_INLINE struct weir_flow *weir_flow_find(const struct weir_flow_tuple *tuple, __u32 now, struct weir_flow_match *match)
{
	const struct weir_flow_config *config = weir_flow_configuration();
	struct weir_flow_bucket *bucket;
	__u32 index, way, how = 0, stamp = 0;
	struct weir_flow *row;
	__u64 hash;

	*match = (struct weir_flow_match){};
	if (!config)
		return 0;
	hash = weir_flow_hash(config, tuple);
	index = weir_flow_index(config, hash);
	bucket = weir_flow_bucket_of(index);
	if (!bucket)
		return 0;
	way = weir_flow_search(bucket, weir_flow_tag(hash), tuple, &how, &stamp);
	if (way >= WEIR_FLOW_WAYS || !weir_flow_alive(bucket->expires[way], now))
		return 0;
	row = &bucket->row[way];
	match->reversed = how == WEIR_FLOW_BACKWARD;
	if (weir_unlikely(row->kind != WEIR_FLOW_ROW))
		return weir_flow_by_alias(row, stamp, now, match);
	match->bucket = bucket;
	match->place = weir_flow_place(index, way);
	match->stamp = stamp;
	match->flow = row;
	return row;
}
