/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The panel's ABI: what every network function may rely on, and nothing else.
 *
 * A packet walks hops. A hop is a row of weir_hops; its id is
 * port * WEIR_PORT_HOPS + direction * WEIR_CHAIN_HOPS + position, so "the next
 * hop of this chain" is id + 1 and a forward is one multiplication. A chain ends
 * in a terminal hop: the port's own function (ingress) or its peer (egress).
 * Metadata travels in skb->cb between tail calls, and in skb->mark and
 * skb->tc_index across one of Weir's own devices; nothing else survives either.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "drop.h"

#ifndef WEIR_ABI
#define WEIR_ABI 1 /* part of the pin path: abi-1 */
#endif

#define WEIR_MAX_PORTS 4096
#define WEIR_PORT_HOPS 16  /* hops of one port */
#define WEIR_CHAIN_HOPS 8  /* 7 transparent functions and a terminal hop, each direction */
#define WEIR_HOP_IDS (WEIR_MAX_PORTS * WEIR_PORT_HOPS)
#define WEIR_COURSES 16384 /* two for each chain: a new course never takes the place of one in force */
#define WEIR_MAX_SLOTS 1024 /* functions, and users' own programs */
#define WEIR_MAX_CALLS 28  /* of the kernel's 33; then the packet is recirculated */
#define WEIR_MAX_ROUNDS 15 /* recirculations before a packet counts as looping */

enum weir_direction { WEIR_INGRESS = 0, WEIR_EGRESS = 1 };

/* What a hop does with a packet. DOWN is 0: an empty row drops, with a reason. */
enum weir_op {
	WEIR_OP_DOWN = 0,
	WEIR_OP_CALL,     /* tail-call slot as instance */
	WEIR_OP_JUMP,     /* go on at hop target (the peer is another instance's port) */
	WEIR_OP_PEER,     /* bpf_redirect_peer: skips the host device's qdisc and egress hooks */
	WEIR_OP_REDIRECT, /* bpf_redirect to the device's egress: through its qdisc */
	WEIR_OP_RECEIVE,  /* bpf_redirect to the device's ingress: the node's stack receives it there */
	WEIR_OP_NEIGH,    /* bpf_redirect_neigh: next hop and MAC from the kernel's routes */
	WEIR_OP_TUNNEL,   /* tunnel key from weir_tunnels[port], then the device's egress */
	WEIR_OP_STACK,    /* leave the packet to the stack of the device that it came from */
	WEIR_OP_BACK,     /* a tap's egress: the packet leaves by the device that it was to leave by */
};
/* weir_hop.flags: a packet is handed back in the device's other direction, since the port is the node's own side. */
#define WEIR_HOP_TURNED 1

struct weir_hop {
	__u8 op;        /* enum weir_op */
	__u8 flags;     /* WEIR_HOP_* */
	__u16 slot;     /* CALL: index into weir_functions */
	__u32 instance; /* CALL: whose rows the function uses */
	__u16 port;     /* the port whose chain this hop is in */
	__u16 course;   /* the chain's: the same in all of its hops */
	__u32 target;   /* JUMP: hop id; delivery: ifindex */
};

/*
 * The functions of a chain, as they stood: a packet that waits in a device goes on by the course that it was on. Written
 * once; a chain that changes gets another course. Course 0 is that of every chain without functions.
 */
struct weir_course {
	__u16 first; /* the chain's first hop */
	__u16 instance[WEIR_CHAIN_HOPS - 1]; /* in order; 0: the end */
};

/* skb->cb, valid from the entry program to the verdict. */
struct weir_meta {
	__u32 hop;
	__u32 instance;
	__u32 port;
	__u32 state; /* WEIR_META_* */
	__u32 place; /* WEIR_PLACE_*, of a packet whose chain has changed while it waited; 0: it walks the chain as it is */
};
#define WEIR_META_CALLS 0x000000ff  /* tail calls so far */
#define WEIR_META_ROUNDS 0x00000f00 /* recirculations so far */
#define WEIR_META_ROUND 0x00000100
#define WEIR_META_RESUMED 0x00001000 /* the first call after a shaping or splitting device */
#define WEIR_META_WIRE 0x00002000   /* for the rest of this run packets have the wire's size */
#define WEIR_META_HELD 0x00004000   /* the first call after a delaying device */
#define WEIR_META_AWAY 0x00008000   /* has left the device that it was seen on: came back by one of Weir's own */
#define WEIR_META_LEAVING 0x00010000 /* on a device's egress: who sent it here is told what becomes of it */
#define WEIR_META_GEN 0x40000000    /* generation that this packet walks */
#define WEIR_META_TRACE 0x80000000  /* read-only: no map writes, clones, transmission */

/* A place on a course: the hop that it was, and the course. Across a Weir device the one is in skb->mark, the other in
 * skb->tc_index. Without WEIR_PLACE_COURSE it is the hop of that id as it stands. */
#define WEIR_PLACE_HOP 0x0000ffff
#define WEIR_PLACE_AT (WEIR_CHAIN_HOPS - 1) /* position on the course; the last is beyond every function */
#define WEIR_PLACE_COURSE 0x80000000

/* skb->mark across a Weir device. A mark and a tc_index that the node gave the packet before are lost there. */
#define WEIR_MARK_HOP 0x0000ffff
#define WEIR_MARK_ROUNDS_SHIFT 20
#define WEIR_MARK_RESUMED 0x01000000
#define WEIR_MARK_HELD 0x02000000
#define WEIR_MARK_TRACE 0x80000000

/*
 * What a tap has dealt with goes back to its device with this mark and this tc_index. Neither alone counts: a mark can
 * be set by sockets with CAP_NET_RAW, which cannot set a tc_index; crossing into another namespace clears marks.
 */
#define WEIR_MARK_BACK 0x04000000
#define WEIR_BACK_INDEX 0x5769
/* Of a packet whose copy goes on: it ends behind the recirculation pair, where its sender's TCP takes no notice. */
#define WEIR_MARK_GONE 0x08000000

/* Userspace reads the version from BTF. */
enum weir_abi { WEIR_ABI_VERSION = WEIR_ABI };

struct weir_config {
	__u32 gen;            /* generation in force: 0 or 1. One write flips it */
	__u32 events;         /* non-zero: drops are also events */
	__u32 recirc_ifindex; /* plain device pair; what enters it comes back at its mark's hop */
	__u32 split_ifindex;  /* the same without segmentation offload: GSO packets come back split */
	enum weir_abi abi;
	__u32 processors;     /* among which packet steering chooses where packets come back, by skb->hash; 0: one */
	__u32 epoch;          /* of the panels here the one with the highest came into force last */
	__u32 reserved;
};

struct weir_device_key {
	__u32 ifindex;
	__u32 gen;
};
struct weir_device {
	__u32 port;
	__u32 reserved;
};

struct weir_tunnel {
	__u32 family; /* 4 or 6: the underlay's */
	__u32 vni;
	__u8 remote[16]; /* network order; IPv4 in the first four bytes */
};

struct weir_lease_key {
	__u32 instance;
};

struct weir_drop_key {
	__u32 port;
	enum weir_drop_reason reason;
	enum weir_direction direction; /* the chain's */
};
struct weir_count {
	__u64 packets;
	__u64 bytes;
};
struct weir_port_count {
	struct weir_count rx; /* into the panel */
	struct weir_count tx; /* delivered to the peer */
};

struct weir_event {
	__u64 time; /* ktime, ns */
	__u32 port;
	__u32 reason; /* drop reason, or the slow path's reason */
	__u32 ifindex;
	__u32 len;
	__u8 data[64]; /* the packet's first bytes */
};

struct weir_trace_step {
	__u32 hop;
	__u32 instance;
	__u32 port;
	__u16 slot;
	__u8 op;
	__u8 reason; /* op DOWN: the drop reason */
	__u32 target;
};
#define WEIR_TRACE_STEPS 64
struct weir_trace {
	__u32 steps;
	__u32 reserved;
	struct weir_trace_step step[WEIR_TRACE_STEPS];
};

struct weir_name {
	char name[56]; /* "port:router:weir1a2b3c" or "instance:limit:…" */
};
struct weir_name_value {
	__u32 id;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_config);
	__uint(max_entries, 1);
} weir_config SEC(".maps");

/* which port a device belongs to, by generation */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_device_key);
	__type(value, struct weir_device);
	__uint(max_entries, 2 * WEIR_MAX_PORTS);
} weir_devices SEC(".maps");

/* two generations of hops, WEIR_HOP_IDS each */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_hop);
	__uint(max_entries, 2 * WEIR_HOP_IDS);
} weir_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_course);
	__uint(max_entries, WEIR_COURSES);
} weir_courses SEC(".maps");

/* one program a function, and one for each rule that asks for a user's own */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, WEIR_MAX_SLOTS);
} weir_functions SEC(".maps");

/* where a port's tunnel ends */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct weir_tunnel);
	__uint(max_entries, WEIR_MAX_PORTS);
} weir_tunnels SEC(".maps");

/*
 * When instances that end by themselves do: ktime, ns. An agent renews them;
 * nothing needs to run for them to end.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_lease_key);
	__type(value, __u64);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_leases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct weir_drop_key);
	__type(value, struct weir_count);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_port_count);
	__uint(max_entries, WEIR_MAX_PORTS);
} weir_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} weir_events SEC(".maps");

/* packets for the slow path */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} weir_upcalls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_trace);
	__uint(max_entries, 1);
} weir_traces SEC(".maps");

/* ids of instances and ports by name, for userspace: a restarted agent finds its own */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_name);
	__type(value, struct weir_name_value);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_names SEC(".maps");
