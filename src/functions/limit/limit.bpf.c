/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Bandwidth limit: a transparent function in a port's chain. It picks a class of
 * the shaping device and sends the packet there; when the packet comes back at
 * its due time, it is counted and goes on. The rate lives in the class.
 */
#include <linux/in.h>
#include "link.h"

#define WEIR_LIMIT_WINDOW 1000000000ULL /* ns: a published rate is over at least this */
#define WEIR_LIMIT_ETH 14

/*
 * Queue a copy that is no longer charged to its sender's socket. A sender on
 * this node whose packets are split in the queue would otherwise wait for its
 * whole charge and then send in a lump; so it is paced by acknowledgements, as
 * any remote sender is. Not for a pod's own limit: there the charge is what
 * keeps the queue short (see README).
 */
#define WEIR_LIMIT_DETACH 1

struct weir_limit_key {
	__u32 instance;
};

/* One limit, written by userspace. */
struct weir_limit {
	__u32 device;      /* ifindex of the shaping device; 0: not there, packets pass unshaped */
	__u32 small_class; /* HTB classes: qdisc handle << 16 | minor */
	__u32 bulk_class;
	__u32 small_bytes; /* layer 3; packets up to this go first */
	__u32 flags;       /* WEIR_LIMIT_* */
	__u32 reserved;
	__u64 idle;        /* ns without a packet that break a measurement's window */
};

/* What passed. Layer 3, every wire packet's headers counted. */
struct weir_limit_use {
	__u64 packets;
	__u64 bytes;
	__u64 last;  /* ktime of the last packet, ns */
	__u64 start; /* ktime at which the open window began */
	__u64 base;  /* bytes until then */
	__u64 rate;  /* bit/s over the last full busy window; 0: none yet */
	__u64 ended; /* ktime at which that window ended */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_limit_key);
	__type(value, struct weir_limit);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_limits SEC(".maps");

/* apart from weir_limits: an edit of a limit must not reset its counters */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_limit_key);
	__type(value, struct weir_limit_use);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_limit_use SEC(".maps");

/* Bytes of layer-3 and layer-4 headers that each wire packet of a GSO packet has; 0: unknown. */
WEIR_INLINE __u32 header_bytes(struct __sk_buff *skb)
{
	__u8 byte = 0, protocol = 0;
	__u32 network;

	if (bpf_skb_load_bytes(skb, WEIR_LIMIT_ETH, &byte, 1))
		return 0;
	if (byte >> 4 == 4) {
		network = (byte & 15) * 4;
		bpf_skb_load_bytes(skb, WEIR_LIMIT_ETH + 9, &protocol, 1);
	} else {
		network = 40;
		bpf_skb_load_bytes(skb, WEIR_LIMIT_ETH + 6, &protocol, 1);
	}
	if (protocol == IPPROTO_UDP)
		return network + 8;
	if (protocol != IPPROTO_TCP)
		return 0;
	if (bpf_skb_load_bytes(skb, WEIR_LIMIT_ETH + network + 12, &byte, 1))
		return 0;
	return network + (byte >> 4) * 4;
}

/* What the packet is on the wire: packets and layer-3 bytes. */
WEIR_INLINE struct weir_count wire_count(struct __sk_buff *skb)
{
	struct weir_count count = { .packets = 1, .bytes = skb->len - WEIR_LIMIT_ETH };

	if (skb->gso_segs <= 1)
		return count;
	count.packets = skb->gso_segs;
	count.bytes += (__u64)(skb->gso_segs - 1) * header_bytes(skb);
	return count;
}

/* Add to the counters; close the window when it is full, start anew after a pause. */
WEIR_INLINE void measure(struct __sk_buff *skb, struct weir_limit_key *key, __u64 idle)
{
	struct weir_limit_use *use = bpf_map_lookup_elem(&weir_limit_use, key), first = {};
	struct weir_count count = wire_count(skb);
	__u64 now = bpf_ktime_get_ns(), last, start, total;

	if (!use) {
		bpf_map_update_elem(&weir_limit_use, key, &first, BPF_NOEXIST);
		use = bpf_map_lookup_elem(&weir_limit_use, key);
		if (!use)
			return;
	}
	__sync_fetch_and_add(&use->packets, count.packets);
	total = __sync_fetch_and_add(&use->bytes, count.bytes) + count.bytes;
	last = use->last;
	use->last = now;
	start = use->start;
	/* The packet that opens a window is not in it: a rate is bytes after an instant over the time since. */
	if (now > last + idle) {
		if (__sync_val_compare_and_swap(&use->start, start, now) == start)
			use->base = total;
		return;
	}
	if (now < start + WEIR_LIMIT_WINDOW)
		return;
	if (__sync_val_compare_and_swap(&use->start, start, now) != start)
		return; /* another CPU closes it */
	use->rate = (total - use->base) * 8000000 / ((now - start) / 1000);
	use->ended = now;
	use->base = total;
}

SEC("tc")
int weir_limit(struct __sk_buff *skb)
{
	struct weir_limit_key key = { .instance = weir_instance(skb) };
	struct weir_limit *limit = bpf_map_lookup_elem(&weir_limits, &key);
	__u32 class;

	if (!limit || !limit->device || weir_link_control(skb))
		return weir_next(skb);
	if (weir_resumed(skb)) {
		if (!weir_tracing(skb))
			measure(skb, &key, limit->idle);
		return weir_next(skb);
	}
	class = skb->len <= limit->small_bytes + WEIR_LIMIT_ETH ? limit->small_class : limit->bulk_class;
	if (limit->flags & WEIR_LIMIT_DETACH)
		return weir_shape_detached(skb, limit->device, class);
	return weir_shape(skb, limit->device, class);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
