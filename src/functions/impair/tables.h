/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps of impair: rules, their peers, and counters. */
#pragma once
#include "panel.h"

#define WEIR_IMPAIR_PORTS 8

enum weir_impair_flags {
	WEIR_IMPAIR_EGRESS = 1,      /* the pod's egress: its peer is the destination */
	WEIR_IMPAIR_LEASED = 2,      /* acts while its lease in weir_leases lasts */
	WEIR_IMPAIR_SEEDED = 4,
	WEIR_IMPAIR_PEERS = 8,       /* only applies to peers in weir_impair_peers */
	WEIR_IMPAIR_NO_PROBES = 16,  /* ignores packets to and from the node's own addresses */
	WEIR_IMPAIR_NO_DNS = 32,     /* ignores port 53 of the peer */
	WEIR_IMPAIR_BURST = 64,      /* Gilbert-Elliott: `loss` is the loss in the good state */
};

enum weir_impair_side { WEIR_IMPAIR_POD = 1, WEIR_IMPAIR_PEER = 2, WEIR_IMPAIR_EITHER = 3 };

struct weir_impair_port {
	__u16 first; /* host order; first 0 and last 65535: any port, and protocols without ports */
	__u16 last;
	__u8 protocol;
	__u8 side; /* enum weir_impair_side */
	__u16 reserved;
};

struct weir_impair_key {
	__u32 instance;
};

/* One rule, written by userspace. Probabilities are in parts of 2^32; 2^32 is certain. */
struct weir_impair {
	__u32 flags;  /* enum weir_impair_flags */
	__u32 device; /* ifindex of the delaying device; 0: no packet is delayed */
	__u32 epoch;  /* a changed value restarts packet index and state */
	__u32 seed;
	__u64 loss;
	__u64 loss_bad; /* burst: loss in the bad state */
	__u64 to_bad;   /* burst: from good to bad */
	__u64 to_good;
	__u64 duplicate;
	__u64 corrupt;
	__u64 reorder; /* probability that a delayed packet is sent at once */
	__u64 delay;   /* ns */
	__u64 jitter;  /* ns, plus or minus */
	__u64 pace;    /* bit/s at layer 3; 0: not paced */
	struct weir_impair_port port[WEIR_IMPAIR_PORTS];
	__u32 ports; /* number of used entries; 0: any packet */
	__u32 reserved;
};

/* Counters of a rule: packets that it applies to; bytes at layer 3. */
struct weir_impair_use {
	__u64 packets;
	__u64 bytes;
	__u64 lost;
	__u64 duplicated;
	__u64 corrupted;
	__u64 reordered;
	__u64 delayed;
	__u64 bursts;  /* losses whose previous packet was not lost */
	__u64 spared;  /* packets to corrupt that have no payload */
	__u64 waited;  /* requested delays, ns */
	__u64 late;    /* delay beyond the requested one of packets that came back, ns */
	__u64 released; /* packets that came back */
	__u64 index; /* index of the next packet, input of a seeded draw */
	__u64 next;  /* paced: ktime at which the next packet may leave */
	__u32 epoch; /* the epoch of index and state */
	__u32 bad;   /* burst: 1 in the bad state */
	__u32 was_lost; /* whether the previous packet was lost */
	__u32 reserved;
};

struct weir_impair_peer {
	__u32 prefixlen; /* bits of instance and address: 32 + the CIDR's */
	__u32 instance;  /* 0: the node's own addresses, for all instances */
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct weir_impair_member {
	__u32 present;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_impair_key);
	__type(value, struct weir_impair);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_impairs SEC(".maps");

/* peers of rules */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct weir_impair_peer);
	__type(value, struct weir_impair_member);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_impair_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_impair_key);
	__type(value, struct weir_impair_use);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_impair_use SEC(".maps");
