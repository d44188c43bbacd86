/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The panel's ABI: what every network function may rely on, and nothing else.
 *
 * A packet walks hops. A hop's id is port * WEIR_PORT_HOPS + direction * WEIR_CHAIN_HOPS + position, so "the next hop of
 * this chain" is id + 1 and a forward is one shift. The hops of one port are one row of weir_hops. A chain ends in a
 * terminal hop: the port's own function (ingress) or its peer (egress). Metadata travels in skb->cb between tail calls,
 * and in skb->mark and skb->tc_index across one of Weir's own devices; nothing else survives either.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "drop.h"

#ifndef WEIR_ABI
#define WEIR_ABI 2 /* part of the pin path: abi-2 */
#endif
#if WEIR_ABI % 8 == 0
#error "the last three bits of the ABI's number tell marks apart, and 0 is that of ABI 1"
#endif

#define WEIR_MAX_PORTS 16384 /* limit of a hop's id */
#define WEIR_CHAIN_HOPS 16   /* 15 transparent functions and a terminal hop, each direction */
#define WEIR_PORT_HOPS 32    /* hops of one port */
#define WEIR_MAX_CALLS 28    /* of the kernel's 33 tail calls; then the packet is recirculated */
#define WEIR_MAX_ROUNDS 15   /* recirculations after which a packet is dropped as a loop */

/*
 * Map sizes are declared for a node with this many ports. Maps with rows by port or instance are scaled to the
 * ports that the node is configured to have (src/datapath/sizes.ts).
 */
#define WEIR_PORTS 4096
#define WEIR_MAX_SLOTS 1024  /* functions, and users' own programs */
#define WEIR_NODES 8192      /* other nodes, by tunnels */
#define WEIR_NEAR 2048       /* rows of weir_near in each generation, a power of two; also in src/datapath/near.ts */

enum weir_direction { WEIR_INGRESS = 0, WEIR_EGRESS = 1 };

/* What a hop does. DOWN is 0: an empty row drops packets, with a reason. */
enum weir_op {
	WEIR_OP_DOWN = 0,
	WEIR_OP_CALL,     /* tail-call slot as instance */
	WEIR_OP_JUMP,     /* continue at hop `target` (the peer is another instance's port) */
	WEIR_OP_PEER,     /* bpf_redirect_peer: bypasses the host device's qdisc and egress hooks */
	WEIR_OP_REDIRECT, /* bpf_redirect to the device's egress: through its qdisc */
	WEIR_OP_RECEIVE,  /* bpf_redirect to the device's ingress: the node's stack receives it there */
	WEIR_OP_NEIGH,    /* bpf_redirect_neigh: next hop and MAC address from the kernel's routes */
	WEIR_OP_TUNNEL,   /* sets the tunnel key of the destination node from weir_tunnels, then redirects to the device's egress */
	WEIR_OP_STACK,    /* leave the packet to the stack of the device that it came from */
	WEIR_OP_BACK,     /* a tap's egress: the packet continues on its device */
};
/*
 * weir_hop.flags: the port of a pod with hostNetwork; packets are reinjected in the device's opposite
 * direction.
 */
#define WEIR_HOP_TURNED 1

struct weir_hop {
	__u8 op;        /* enum weir_op */
	__u8 flags;     /* WEIR_HOP_* */
	__u16 slot;     /* CALL, TUNNEL: index into weir_functions */
	__u32 instance; /* CALL, TUNNEL: instance whose rows the function uses */
	__u32 target;   /* JUMP: hop id; delivery: ifindex */
	__u16 course;   /* course of the chain, the same in all of its hops */
	__u16 reserved;
};
/* the hops of one port: its ingress chain, then its egress chain */
struct weir_port_hops {
	struct weir_hop hop[WEIR_PORT_HOPS];
};

/*
 * The functions of a chain in order. A packet that waits in a device continues on the course it was on. A row
 * is never rewritten while in use: a changed chain gets another course. Every chain without functions has
 * course 0.
 */
struct weir_course {
	__u16 chain; /* the first hop's id / WEIR_CHAIN_HOPS */
	__u16 instance[WEIR_CHAIN_HOPS - 1]; /* in order; 0: end */
};

/* skb->cb, valid from the entry program to the verdict. */
struct weir_meta {
	__u32 hop;
	__u32 instance;
	__u32 state;  /* WEIR_META_* */
	__u32 place;  /* WEIR_PLACE_*, if the packet's chain changed while it waited; 0: it walks the chain of the generation */
	__u32 tunnel; /* row of weir_tunnels by which the packet leaves; 0: unknown */
};
#define WEIR_META_CALLS 0x000000ff  /* tail calls so far */
#define WEIR_META_ROUNDS 0x00000f00 /* recirculations so far */
#define WEIR_META_ROUND 0x00000100
#define WEIR_META_RESUMED 0x00001000 /* the first call after a shaping or splitting device */
#define WEIR_META_WIRE 0x00002000   /* packets have wire size for the rest of this run */
#define WEIR_META_HELD 0x00004000   /* the first call after a delaying device */
#define WEIR_META_AWAY 0x00008000   /* no longer on the device where it was seen: returned from one of Weir's own */
#define WEIR_META_ASKED 0x00020000  /* the port's function was asked for the tunnel */
#define WEIR_META_LEAVING 0x00010000 /* on a device's egress, where the verdict is reported to the sender */
#define WEIR_META_GEN 0x40000000    /* generation that this packet walks */
#define WEIR_META_TRACE 0x80000000  /* read-only: no map writes, clones, transmission */

/* A position on a course: the course's id, and the index on it. */
#define WEIR_PLACE_AT (WEIR_CHAIN_HOPS - 1) /* index; the last is after every function */
#define WEIR_PLACE_SET 0x00000100
#define WEIR_PLACE_COURSE_SHIFT 16

/*
 * skb->mark across one of Weir's devices. A mark and tc_index that the packet had before are lost. With
 * WEIR_MARK_COURSE the tc_index is the course; without it the packet continues at the hop with this id in the
 * current generation. WEIR_MARK_ABI identifies the panel's ABI: panels of another ABI get their packets back.
 */
#define WEIR_MARK_HOP 0x0007ffff
#define WEIR_MARK_ROUNDS_SHIFT 19
#define WEIR_MARK_COURSE 0x00800000
#define WEIR_MARK_RESUMED 0x01000000
#define WEIR_MARK_HELD 0x02000000
#define WEIR_MARK_ABI_SHIFT 28
#define WEIR_MARK_ABI_BITS 7
#define WEIR_MARK_ABI (WEIR_ABI == 1 ? 0 : WEIR_ABI & WEIR_MARK_ABI_BITS)
#define WEIR_MARK_TRACE 0x80000000

/*
 * A tapped packet that has passed its chains returns to its device with this mark and this tc_index. Both are
 * checked: sockets with CAP_NET_RAW can set a mark, but not a tc_index; entering another namespace clears
 * marks. The two marks below are the same in every ABI.
 */
#define WEIR_MARK_BACK 0x04000000
#define WEIR_BACK_INDEX 0x5769
/*
 * The mark of a packet whose copy continues: it is discarded behind the recirculation pair, where its sender's
 * TCP does not notice.
 */
#define WEIR_MARK_GONE 0x08000000

/* Userspace reads the version from BTF. */
enum weir_abi { WEIR_ABI_VERSION = WEIR_ABI };

struct weir_config {
	__u32 gen;            /* active generation: 0 or 1. One write changes it */
	__u32 recirc_ifindex; /* the recirculation pair: packets return at the hop in their mark */
	__u32 split_ifindex;  /* the splitting pair, without segmentation offload: GSO packets return as segments */
	enum weir_abi abi;
	__u32 processors;     /* number of processors for packet steering by skb->hash; 0: one */
	__u32 epoch;          /* order in which the panels of a node came into force */
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

struct weir_near {
	__u32 ifindex; /* 0: none */
	__u32 port;
};

struct weir_tunnel {
	__u32 family; /* 4 or 6: of the underlay */
	__u32 vni;
	__u8 remote[16]; /* network order; IPv4 in the first four bytes */
};

struct weir_lease_key {
	__u32 instance;
};

/* A drop: the port, the chain and the instance where it happened, the reason, and the instance's rule. */
struct weir_drop_key {
	__u32 port;
	__u32 instance; /* 0: the panel itself */
	__u32 rule;     /* rule of the instance; 0: none */
	enum weir_drop_reason reason;
	enum weir_direction direction; /* direction of the chain */
};
struct weir_count {
	__u64 packets;
	__u64 bytes;
};
struct weir_port_count {
	struct weir_count rx; /* into the panel */
	struct weir_count tx; /* delivered to the peer */
};

struct weir_trace_step {
	__u32 hop;
	__u32 instance;
	__u32 port;
	__u16 slot;
	__u8 op;
	__u8 reason; /* op DOWN: the drop reason */
	__u32 target;
	__u32 tunnel; /* by which the packet leaves; 0: unknown */
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

/* the port of a device, by generation */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_device_key);
	__type(value, struct weir_device);
	__uint(max_entries, 2 * WEIR_PORTS);
} weir_devices SEC(".maps");

/*
 * The ports of most devices again, as an array: a hash look-up is the most expensive part of a packet's entry. Row ifindex % WEIR_NEAR
 * * 2 + generation; the row may belong to another device.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_near);
	__uint(max_entries, 2 * WEIR_NEAR);
} weir_near SEC(".maps");

/* ports in two generations: row port * 2 + generation */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_port_hops);
	__uint(max_entries, 2 * WEIR_PORTS);
} weir_hops SEC(".maps");

/* two for each chain, so that a new course never replaces one in use */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_course);
	__uint(max_entries, 4 * WEIR_PORTS);
} weir_courses SEC(".maps");

/* one program per function, and one per rule with a user's program */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, WEIR_MAX_SLOTS);
} weir_functions SEC(".maps");

/* remote ends of tunnels, one per node; row 0 is none */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_tunnel);
	__uint(max_entries, WEIR_NODES);
} weir_tunnels SEC(".maps");

/* When instances with a lease end: ktime, ns. An agent renews leases. They end without any process. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_lease_key);
	__type(value, __u64);
	__uint(max_entries, 4 * WEIR_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_leases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct weir_drop_key);
	__type(value, struct weir_count);
	__uint(max_entries, 4 * WEIR_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_port_count);
	__uint(max_entries, WEIR_PORTS);
} weir_ports SEC(".maps");

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

/*
 * programs of panels of other ABIs, by the number in their marks, for packets that wait for them in Weir's
 * devices
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, WEIR_MARK_ABI_BITS + 1);
} weir_elders SEC(".maps");

/* ids of instances and ports by name, for userspace: they survive a restart of the agent */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_name);
	__type(value, struct weir_name_value);
	__uint(max_entries, 16384 + 6 * WEIR_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_names SEC(".maps");
