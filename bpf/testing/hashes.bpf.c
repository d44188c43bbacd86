/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's own hash maps with the flow table's tuples and rows, to compare with in `weir bench flows`. */
#include "burst.h"

#define ROWS 131072

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_flow_tuple);
	__type(value, struct weir_flow);
	__uint(max_entries, ROWS);
} weir_peer_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct weir_flow_tuple);
	__type(value, struct weir_flow);
	__uint(max_entries, ROWS);
} weir_peer_lru SEC(".maps");

/* an empty row, which is too large for the stack */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow);
	__uint(max_entries, 1);
} weir_peer_row SEC(".maps");

WEIR_INLINE int hash_flow(void *map, const struct track_burst *burst, const struct weir_flow_tuple *tuple)
{
	__u32 zero = 0;
	struct weir_flow *row;

	if (burst->work != TRACK_INSERT)
		return bpf_map_lookup_elem(map, tuple) ? TRACK_FOUND : TRACK_MISSED;
	row = bpf_map_lookup_elem(&weir_peer_row, &zero);
	return row && !bpf_map_update_elem(map, tuple, row, BPF_NOEXIST) ? TRACK_OPENED : TRACK_REFUSED;
}

WEIR_INLINE int hashes(struct __sk_buff *skb, void *map)
{
	__u32 row = skb->mark;
	struct track_burst *burst = bpf_map_lookup_elem(&weir_track_bursts, &row);
	struct weir_flow_packet packet;
	struct weir_flow_tuple answer;

	if (!burst || !burst->flows)
		return TC_ACT_SHOT;
	track_flow(burst, burst->next++ % burst->flows, &packet);
	track_answer(&packet.tuple, &answer);
	track_count(burst, hash_flow(map, burst, burst->work == TRACK_FIND_ANSWER ? &answer : &packet.tuple));
	return TC_ACT_OK;
}

SEC("tc")
int weir_hash_burst(struct __sk_buff *skb)
{
	return hashes(skb, &weir_peer_hash);
}

SEC("tc")
int weir_lru_burst(struct __sk_buff *skb)
{
	return hashes(skb, &weir_peer_lru);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
