/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A function for tests: does what its instance's row says, and counts. */
#include "flow.h"

enum act_verdict {
	ACT_NEXT = 0,
	ACT_FORWARD,
	ACT_CLONE, /* to the port it came from; then forward */
	ACT_STACK,
	ACT_UP,
	ACT_DROP,
	ACT_SPLIT, /* then forward */
	ACT_SHAPE, /* into device `extra`, class `extra2`; then forward */
	ACT_RECIRCULATE, /* to hop `arg` */
	ACT_TRACK, /* find or open the flow, in zone `arg`; then forward to `extra` */
	ACT_HOLD, /* in device `extra`; then forward */
};

struct act {
	enum act_verdict verdict;
	__u32 arg;
	__u32 extra;
	__u32 extra2;
	__u32 note; /* its numbered datagrams */
};

struct act_runs {
	__u64 runs;
	__u64 resumed; /* … of them after a shaping, splitting or delaying device */
	__u64 segments;
	__u32 port;
	__u32 mark;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct act);
	__uint(max_entries, 256);
} weir_act_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct act_runs);
	__uint(max_entries, 256);
} weir_act_runs SEC(".maps");

/*
 * How often an instance has judged each of a test's numbered datagrams, identified by the first
 * eight bytes of the UDP payload.
 */
struct act_seen {
	__u32 instance;
	__u32 resumed;
	__u64 text;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct act_seen);
	__type(value, __u64);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_act_seen SEC(".maps");

WEIR_INLINE void note(struct __sk_buff *skb, __u32 instance)
{
	struct act_seen key = { .instance = instance, .resumed = weir_resumed(skb) || weir_held(skb) };
	__u64 *times, none = 0;
	__u8 protocol;

	if (bpf_skb_load_bytes(skb, 23, &protocol, 1) || protocol != 17 || bpf_skb_load_bytes(skb, 42, &key.text, sizeof(key.text)))
		return;
	bpf_map_update_elem(&weir_act_seen, &key, &none, BPF_NOEXIST);
	times = bpf_map_lookup_elem(&weir_act_seen, &key);
	if (times)
		__sync_fetch_and_add(times, 1);
}

/*
 * The result of tracking a packet. In a map, since the stack is full with the panel's code for
 * verdicts.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_packet);
	__uint(max_entries, 1);
} weir_act_packet SEC(".maps");

/* Finds the packet's flow in the instance's zone, with the port as owner, or opens one. */
WEIR_INLINE int track(struct __sk_buff *skb, const struct act *act)
{
	__u32 now = weir_flow_now(), zero = 0;
	struct weir_flow_packet *packet = bpf_map_lookup_elem(&weir_act_packet, &zero);
	struct weir_flow_match match;
	struct weir_flow_new *new;

	if (packet && !weir_flow_parse(skb, act->arg, packet) && !packet->error) {
		if (weir_flow_find(&packet->tuple, now, &match) && !weir_tracing(skb)) {
			weir_flow_see(&match, packet, now);
		} else if (!weir_tracing(skb)) {
			new = weir_flow_new(packet, weir_port(skb), now);
			if (!new || weir_flow_open(new) > WEIR_FLOW_FOUND)
				return weir_drop(skb, WEIR_DROP_FLOW_TABLE);
		}
	}
	return weir_forward(skb, act->extra);
}

SEC("tc")
int weir_act(struct __sk_buff *skb)
{
	__u32 instance = weir_instance(skb);
	struct act *act = bpf_map_lookup_elem(&weir_act_rows, &instance);
	struct act_runs *runs, first = {};

	if (!act)
		return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
	if (!weir_tracing(skb)) {
		bpf_map_update_elem(&weir_act_runs, &instance, &first, BPF_NOEXIST);
		runs = bpf_map_lookup_elem(&weir_act_runs, &instance);
		if (!runs)
			return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
		__sync_fetch_and_add(&runs->runs, 1);
		if (weir_resumed(skb) || weir_held(skb))
			__sync_fetch_and_add(&runs->resumed, 1);
		__sync_fetch_and_add(&runs->segments, skb->gso_segs ? skb->gso_segs : 1);
		runs->port = weir_port(skb);
		runs->mark = skb->mark;
		if (act->note)
			note(skb, instance);
	}
	switch (act->verdict) {
	case ACT_NEXT:
		return weir_next(skb);
	case ACT_FORWARD:
		return weir_forward(skb, act->arg);
	case ACT_CLONE:
		weir_clone(skb, act->arg);
		return weir_forward(skb, act->extra);
	case ACT_STACK:
		return weir_stack(skb);
	case ACT_UP:
		return weir_up(skb, act->arg);
	case ACT_DROP:
		return weir_drop_by(skb, act->arg, act->extra2);
	case ACT_SPLIT:
		return weir_resumed(skb) ? weir_next(skb) : weir_split(skb);
	case ACT_SHAPE:
		return weir_resumed(skb) ? weir_next(skb) : weir_shape(skb, act->extra, act->extra2, bpf_ktime_get_ns());
	case ACT_RECIRCULATE:
		return weir_recirculate(skb, act->arg);
	case ACT_TRACK:
		return track(skb, act);
	case ACT_HOLD:
		return weir_held(skb) ? weir_next(skb) : weir_hold(skb, act->extra, bpf_ktime_get_ns());
	}
	return weir_drop(skb, WEIR_DROP_NO_FUNCTION);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
