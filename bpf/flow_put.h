/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Writing a row into its bucket, under the bucket's lock. Part of flow.h. A row is written to the first of these:
 *
 * 1. The row with the same tuple, if it has expired or is to be replaced.
 * 2. A way that is free, or whose row has expired.
 * 3. Before 2, if the owner is above its quota and its share of the bucket: its own row that would expire first.
 * 4. The row that would expire first of an owner with at least two more ways of the bucket than the new row's owner.
 * 5. The row of the new row's owner that would expire first.
 * 6. If it has none in the bucket: the row that would expire first of all, if within WEIR_FLOW_BRIEF, i.e. no connection.
 * 7. Otherwise the new row is refused.
 *
 * The rows that would expire first are those that were silent longest in their state; unanswered and closed flows come
 * before open ones.
 */
#pragma once
#include "flow_find.h"

#define WEIR_FLOW_BRIEF WEIR_FLOW_SECONDS(300)
#define WEIR_FLOW_NOBODY 0x10000   /* no owner */
#define WEIR_FLOW_ANYBODY 0x10001

enum weir_flow_put_result {
	WEIR_FLOW_PUT = 0, /* the row is written; `twin` is the twin of the replaced row, to be ended too */
	WEIR_FLOW_THERE,   /* a live row has the tuple: `place`, `stamp`, `twin`, `kind`, `how` and `same` describe it */
	WEIR_FLOW_FULL,
};

#define WEIR_FLOW_ANY 1 /* not a stamp: those are even */

/* A row to write, and the result. */
struct weir_flow_put {
	struct weir_flow row; /* life: state, ends and kind */
	__u32 now;
	__u32 replace; /* stamp of the live row with the same tuple that it may replace; or WEIR_FLOW_ANY */
	__u16 owner;
	__u8 same; /* THERE: the row is an alias of the same flow */
	__u8 how;  /* THERE: WEIR_FLOW_FORWARD; WEIR_FLOW_BACKWARD: the row's replies have the tuple */
	__u32 place;
	__u32 stamp;
	__u32 expires; /* PUT: its expiry */
	__u32 kind;    /* THERE: enum weir_flow_kind */
	__u32 reserved2;
	__u64 twin;
};

WEIR_INLINE struct weir_flow_owner *weir_flow_owner_of(__u32 owner)
{
	return bpf_map_lookup_elem(&weir_flow_owners, &owner);
}

WEIR_INLINE __u64 weir_flow_min(__u64 a, __u64 b)
{
	__s64 less = b - a;

	return a + (less & less >> 63); /* both below 2^63 */
}

/* 1 if a way's row has not expired; any value for a free way. */
WEIR_INLINE __u32 weir_flow_living(const struct weir_flow_bucket *bucket, __u32 way, __u32 now)
{
	return 1 - ((*(const volatile __u32 *)&bucket->expires[way] - now - 1) >> 31);
}

/*
 * The number of an owner's live rows in a bucket. Read without the lock, like below: a slightly outdated value
 * is good enough for a choice.
 */
WEIR_INLINE __u32 weir_flow_ways_of(const struct weir_flow_bucket *bucket, __u16 owner, __u32 now)
{
	const volatile __u16 *owners = bucket->owner;
	__u32 ways = 0;

#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WEIR_FLOW_WAYS; way++)
		ways += weir_flow_is_zero(owners[way] ^ owner) & weir_flow_living(bucket, way, now);
	return ways;
}

/*
 * Whether an owner has used up its quota and its share of this bucket. The share keeps its rows evenly
 * distributed.
 */
WEIR_INLINE int weir_flow_is_over(const struct weir_flow_config *config, const struct weir_flow_owner *own,
				  struct weir_flow_bucket *bucket, const struct weir_flow_put *put)
{
	__u32 key = put->owner, *given = bpf_map_lookup_elem(&weir_flow_quotas, &key);
	__u32 quota = given && *given ? *given : config->quota;

	if (own->held < quota)
		return 0;
	return weir_flow_ways_of(bucket, put->owner, put->now) >= quota / (config->mask + 1);
}

/* The owner from which a full bucket takes a way for `owner`, or ANYBODY. */
WEIR_INLINE __u32 weir_flow_heaviest(struct weir_flow_bucket *bucket, __u16 owner, __u32 now)
{
	const volatile __u16 *owners = bucket->owner;
	__u32 own = weir_flow_ways_of(bucket, owner, now), most = 0;

	if (own * 2 >= WEIR_FLOW_WAYS - 1) /* no owner can have two more */
		return owner;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < WEIR_FLOW_WAYS; i++) {
		__u32 candidate = owners[i], ways = 0;

#pragma clang loop unroll(disable)
		for (__u32 j = 0; j < WEIR_FLOW_WAYS; j++)
			ways += weir_flow_is_zero(owners[j] ^ candidate);
		most = ~weir_flow_min(~most & 0xffffffff, ~(ways << 16 | candidate) & 0xffffffff);
	}
	if (most >> 16 >= own + 2)
		return most & 0xffff;
	return own ? owner : WEIR_FLOW_ANYBODY;
}

/*
 * The cost of evicting a way; the lowest is evicted. In ascending significance: the way's number, counted from
 * the bucket's hand; the time left to its row; the class: 0 no cost, 1 may be evicted, 2 free, but reserved for
 * others, 4 must stay.
 */
WEIR_INLINE __u64 weir_flow_rank(const struct weir_flow_bucket *bucket, __u32 way, __u16 owner, __u32 from, int over,
				 __u32 now)
{
	__u32 left = bucket->expires[way] - now, other = !over ? 0 : 1 - weir_flow_is_zero(bucket->owner[way] ^ owner);
	__u32 brief = from == WEIR_FLOW_ANYBODY ? (left - WEIR_FLOW_BRIEF) >> 31 : 0;
	__u32 living = weir_flow_living(bucket, way, now) & (1 - weir_flow_is_zero(bucket->tag[way]));
	__u32 class = living * (4 - 3 * (weir_flow_is_zero(bucket->owner[way] ^ from) | brief)) + (1 - living) * 2 * other;

	return (__u64)class << 40 | (__u64)(left * living) << 8 | ((way - bucket->hand) & (WEIR_FLOW_WAYS - 1));
}

/*
 * The way to use, by rules 2 to 6 above; WEIR_FLOW_WAYS: none. @from: the owner whose live rows may be evicted
 */
WEIR_INLINE __u32 weir_flow_choose(struct weir_flow_bucket *bucket, __u16 owner, __u32 from, int over, __u32 now)
{
	__u64 best = (__u64)4 << 40;

#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WEIR_FLOW_WAYS; way++)
		best = weir_flow_min(best, weir_flow_rank(bucket, way, owner, from, over, now));
	return best >> 42 ? WEIR_FLOW_WAYS : (best + bucket->hand) & (WEIR_FLOW_WAYS - 1);
}

/*
 * Writes a row into a way. Readers see the old use ended before the first word changes, and the new one after
 * the last.
 */
WEIR_INLINE void weir_flow_write(struct weir_flow_bucket *bucket, __u32 way, __u16 tag, struct weir_flow_put *put)
{
	struct weir_flow *row = &bucket->row[way];
	__u64 *to = (__u64 *)row;
	const __u64 *from = (const __u64 *)&put->row;
	__u32 stamp = row->stamp;

	*(volatile __u16 *)&bucket->tag[way] = 0;
	*(volatile __u32 *)&row->stamp = stamp + 1;
	barrier();
#pragma unroll
	for (__u32 i = 0; i < sizeof(*row) / 8; i++) {
		if (i != __builtin_offsetof(struct weir_flow, life) / 8)
			to[i] = from[i];
	}
	stamp = stamp + 2 ? stamp + 2 : 2;
	barrier();
	*(volatile __u64 *)&row->life = (put->row.life & ~0xffffffffULL) | stamp;
	bucket->hand = way + 1;
	bucket->owner[way] = put->owner;
	bucket->expires[way] = put->expires;
	barrier();
	*(volatile __u16 *)&bucket->tag[way] = tag;
	put->stamp = stamp;
}

/* Ends the referenced use of a row, unless it was reused. The caller ends its twin, if any. */
static __noinline int weir_flow_remove(__u64 twin)
{
	__u32 place = twin >> 32, way = weir_flow_way(place), stamp = twin, owner = WEIR_FLOW_NOBODY;
	struct weir_flow_bucket *bucket = weir_flow_bucket_of(place >> WEIR_FLOW_PLACE_SHIFT);
	struct weir_flow_owner *count;

	if (!bucket || !stamp)
		return 0;
	bpf_spin_lock(&bucket->lock);
	if (bucket->row[way].stamp == stamp && bucket->tag[way]) {
		*(volatile __u16 *)&bucket->tag[way] = 0;
		bucket->row[way].stamp = stamp + 2 ? stamp + 2 : 2;
		owner = bucket->owner[way];
	}
	bpf_spin_unlock(&bucket->lock);
	count = weir_flow_owner_of(owner);
	if (!count)
		return 0;
	__sync_fetch_and_add(&count->held, -1);
	return 1;
}

/* The row that was in the chosen way. */
struct weir_flow_was {
	__u32 owner; /* WEIR_FLOW_NOBODY: the way was free */
	__u8 living;
	__u8 same; /* it had the same tuple */
	__u8 kind;
};

/* One attempt, under the lock. */
WEIR_INLINE int weir_flow_try(struct weir_flow_bucket *bucket, __u16 tag, struct weir_flow_put *put, __u32 from, int over,
			      struct weir_flow_was *was)
{
	__u32 way, how = 0, stamp = 0, now = put->now;
	int result = WEIR_FLOW_FULL;

	bpf_spin_lock(&bucket->lock);
	way = weir_flow_search(bucket, tag, &put->row.original, &how, &stamp);
	if (way < WEIR_FLOW_WAYS && weir_flow_alive(bucket->expires[way], now) && put->replace != stamp &&
	    put->replace != WEIR_FLOW_ANY) {
		struct weir_flow *row = &bucket->row[way];

		put->same = row->kind == put->row.kind && how == WEIR_FLOW_FORWARD &&
			    weir_flow_compare(&row->translated, &put->row.translated) == WEIR_FLOW_FORWARD;
		put->how = how;
		put->stamp = stamp;
		put->kind = row->kind;
		put->twin = row->twin;
		put->place = way;
		result = WEIR_FLOW_THERE;
		goto out;
	}
	was->same = way < WEIR_FLOW_WAYS;
	if (!was->same)
		way = weir_flow_choose(bucket, put->owner, from, over, now);
	if (way < WEIR_FLOW_WAYS) {
		struct weir_flow *row = &bucket->row[way];

		was->owner = bucket->tag[way] ? bucket->owner[way] : WEIR_FLOW_NOBODY;
		was->living = weir_flow_alive(bucket->expires[way], now);
		was->kind = row->kind;
		put->twin = row->twin;
		put->place = way;
		weir_flow_write(bucket, way, tag, put);
		result = WEIR_FLOW_PUT;
	}
out:
	bpf_spin_unlock(&bucket->lock);
	return result;
}

WEIR_INLINE void weir_flow_account(struct weir_flow_owner *own, const struct weir_flow_put *put,
				   const struct weir_flow_was *was)
{
	struct weir_flow_owner *other;

	if (was->owner == put->owner) {
		if (was->living && !was->same)
			__sync_fetch_and_add(&own->replaced, 1);
		return;
	}
	__sync_fetch_and_add(&own->held, 1);
	if (was->owner == WEIR_FLOW_NOBODY)
		return;
	other = weir_flow_owner_of(was->owner);
	if (!other)
		return;
	__sync_fetch_and_add(&other->held, -1);
	if (!was->living || was->same)
		return;
	__sync_fetch_and_add(&own->evicted, 1);
	__sync_fetch_and_add(&other->lost, 1);
}

/*
 * Writes a row. Returns enum weir_flow_put_result, or a negative number: there is no table. Not static, so that
 * the verifier walks it once.
 */
__noinline int weir_flow_put(struct weir_flow_put *put)
{
	const struct weir_flow_config *config = weir_flow_configuration();
	struct weir_flow_was was = { .owner = WEIR_FLOW_NOBODY };
	struct weir_flow_bucket *bucket;
	struct weir_flow_owner *own;
	__u32 index, from = WEIR_FLOW_NOBODY;
	int over, result;
	__u64 hash;

	if (!put || !config)
		return -1;
	own = weir_flow_owner_of(put->owner);
	hash = weir_flow_hash(config, &put->row.original);
	index = weir_flow_index(config, hash);
	bucket = weir_flow_bucket_of(index);
	if (!own || !bucket || !config->mask)
		return -1;
	put->expires = put->now + config->timeout[put->row.state & (WEIR_FLOW_STATES - 1)];
	over = weir_flow_is_over(config, own, bucket, put);
	if (over)
		from = put->owner;
	result = weir_flow_try(bucket, weir_flow_tag(hash), put, from, over, &was);
	if (weir_unlikely(result == WEIR_FLOW_FULL && !over)) {
		from = weir_flow_heaviest(bucket, put->owner, put->now);
		result = weir_flow_try(bucket, weir_flow_tag(hash), put, from, 0, &was);
	}
	if (result == WEIR_FLOW_FULL) {
		__sync_fetch_and_add(&own->refused, 1);
		return result;
	}
	put->place = weir_flow_place(index, put->place);
	if (result == WEIR_FLOW_THERE)
		return result;
	weir_flow_account(own, put, &was);
	if (was.owner == WEIR_FLOW_NOBODY || was.kind == WEIR_FLOW_DATAGRAM)
		put->twin = 0;
	return result;
}

/*
 * Like weir_flow_put, but first removes an alias with this tuple whose flow is gone. A twin of 0 means a flow
 * that is being opened.
 */
WEIR_INLINE int weir_flow_put_once(struct weir_flow_put *put)
{
	struct weir_flow_match flow;
	int result = -1;

#pragma clang loop unroll(disable)
	for (int tries = 0; tries < 2; tries++) {
		result = weir_flow_put(put);
		if (result != WEIR_FLOW_THERE || put->kind == WEIR_FLOW_ROW || !put->twin || !weir_flow_follow(put->twin, &flow))
			break;
		weir_flow_remove(weir_flow_twin(put->place, put->stamp)); /* its flow is gone */
	}
	return result;
}
