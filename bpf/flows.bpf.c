/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Removal of flows by userspace, run with BPF_PROG_TEST_RUN: under the buckets' locks, like packets, and
 * without copying the table. Not part of any topology.
 */
#include "flow.h"

/* Criteria: rows that match all given fields are removed. Without any field none is. */
#define WEIR_SWEEP_ZONE 1
#define WEIR_SWEEP_OWNER 2
#define WEIR_SWEEP_SERVICE 4
#define WEIR_SWEEP_BACKEND 8
#define WEIR_SWEEP_EXPIRED 16

struct weir_flow_sweep {
	__u32 by; /* WEIR_SWEEP_* */
	__u32 zone;
	__u32 owner;
	__u32 service;
	__u32 backend;
	__u32 next;    /* bucket or reference of the next run */
	__u32 removed; /* removed rows */
	__u32 living;  /* live rows that remain */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_sweep);
	__uint(max_entries, 1);
} weir_flow_sweeps SEC(".maps");

/* References to rows: place << 32 | stamp. */
#define WEIR_FLOW_CUTS 1024
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, WEIR_FLOW_CUTS);
} weir_flow_cuts SEC(".maps");

WEIR_INLINE struct weir_flow_sweep *sweep_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_flow_sweeps, &zero);
}

/* 1 if the row is to be removed. Without branches, as in flow_find.h. */
WEIR_INLINE __u32 goes(const struct weir_flow_sweep *sweep, const struct weir_flow_bucket *bucket, __u32 way, __u32 living)
{
	const struct weir_flow *row = &bucket->row[way];
	__u32 used = 1 - weir_flow_is_zero(bucket->tag[way]);
	__u32 same = (weir_flow_is_zero(row->original.zone ^ sweep->zone) * WEIR_SWEEP_ZONE) |
		     (weir_flow_is_zero(bucket->owner[way] ^ sweep->owner) * WEIR_SWEEP_OWNER) |
		     (weir_flow_is_zero(row->service ^ sweep->service) * WEIR_SWEEP_SERVICE) |
		     (weir_flow_is_zero(row->backend ^ sweep->backend) * WEIR_SWEEP_BACKEND) |
		     ((1 - living) * WEIR_SWEEP_EXPIRED);

	return used & weir_flow_is_zero(sweep->by & ~same) & (1 - weir_flow_is_zero(sweep->by));
}

/* Removes the matching rows of the next bucket. */
SEC("tc")
int weir_flow_sweep(struct __sk_buff *skb __attribute__((unused)))
{
	struct weir_flow_sweep *sweep = sweep_row();
	struct weir_flow_bucket *bucket;
	__u16 owner[WEIR_FLOW_WAYS];
	__u32 now = weir_flow_now(), gone = 0, alive = 0;

	if (!sweep)
		return TC_ACT_SHOT;
	bucket = weir_flow_bucket_of(sweep->next++);
	if (!bucket)
		return TC_ACT_SHOT;
	bpf_spin_lock(&bucket->lock);
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WEIR_FLOW_WAYS; way++) {
		__u32 living = weir_flow_living(bucket, way, now), goes_now = goes(sweep, bucket, way, living);

		owner[way] = bucket->owner[way];
		*(volatile __u16 *)&bucket->tag[way] = bucket->tag[way] & (goes_now - 1);
		bucket->row[way].stamp += 2 * goes_now;
		gone |= goes_now << way;
		alive += living & (1 - weir_flow_is_zero(bucket->tag[way]));
	}
	bpf_spin_unlock(&bucket->lock);
#pragma clang loop unroll(disable)
	for (__u32 way = 0; way < WEIR_FLOW_WAYS; way++) {
		struct weir_flow_owner *count = weir_flow_owner_of(owner[way]);
		__u32 one = gone >> way & 1;

		if (count && one)
			__sync_fetch_and_add(&count->held, -1);
		sweep->removed += one;
	}
	sweep->living += alive;
	return TC_ACT_OK;
}

/* Removes the row of the next reference. */
SEC("tc")
int weir_flow_cut(struct __sk_buff *skb __attribute__((unused)))
{
	struct weir_flow_sweep *sweep = sweep_row();
	__u64 *cut;
	__u32 at;

	if (!sweep)
		return TC_ACT_SHOT;
	at = sweep->next++;
	cut = bpf_map_lookup_elem(&weir_flow_cuts, &at);
	if (!cut)
		return TC_ACT_SHOT;
	sweep->removed += weir_flow_remove(*cut);
	return TC_ACT_OK;
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
