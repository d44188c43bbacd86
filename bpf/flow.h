/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The flow table: connection tracking for all functions, pinned separately from the panels
 * (docs/adr/0028-flow-table.md).
 *
 * A flow has one row, which packets of both directions find, before and after translation. Rows are in buckets
 * of WEIR_FLOW_WAYS; a translated flow has a second row, an alias, in the bucket of its translated tuple. Rows
 * end without any help from userspace: an expired row is reused by the next flow of its bucket, and a full
 * bucket evicts a flow of the owner with the most rows in it (flow_put.h).
 *
 *	weir_flow_parse()	a packet's tuple (flow_packet.h)
 *	weir_flow_find()	the flow of a tuple (flow_find.h)
 *	weir_flow_see()		handles a packet of a flow: state and timeout (flow_state.h)
 *	weir_flow_new(), weir_flow_open()	opens a flow (flow_open.h)
 *	weir_flow_verdict(), weir_flow_judge()	a verdict kept with the flow (flow_state.h)
 *
 * The table never gives a verdict: the function decides what happens to a packet without a flow. In a read-only run
 * (weir_tracing) a function only finds flows.
 */
#pragma once
#include "panel.h"

#define WEIR_FLOW_WAYS 32
#define WEIR_FLOW_PLACE_SHIFT 5 /* a row's place is bucket << 5 | way */
#define WEIR_FLOW_BUCKETS 4096	/* default size, a power of two */
#define WEIR_FLOW_OWNERS 16384	/* default size; owners are ids of ports */
#define WEIR_FLOW_UNIT 27	/* a unit of time is 2^27 ns, 134 ms */
#define WEIR_FLOW_SECONDS(seconds) ((__u32)((seconds) * 1000000000ULL >> WEIR_FLOW_UNIT))

/* The key of a flow, in the direction of its first packet. 48 bytes, compared as words. */
struct weir_flow_tuple {
	__u32 zone;	/* equal tuples in different zones are different flows */
	__u8 family;	/* 4 or 6; with WEIR_FLOW_PART the key of a fragmented datagram */
	__u8 protocol;
	__u16 reserved;
	__u8 src[16];	/* IPv4 in the first four bytes */
	__u8 dst[16];
	__be16 src_port; /* ICMP echo: the identifier, in both; protocols without ports: 0 */
	__be16 dst_port;
	__u32 reserved2;
} __attribute__((aligned(8)));
#define WEIR_FLOW_PART 0x80 /* the ports hold the datagram's identification */

/* Userspace reads the names from BTF. Each state has a timeout. */
enum weir_flow_state {
	WEIR_FLOW_NONE = 0,
	WEIR_FLOW_TCP_NEW,	   /* one direction seen */
	WEIR_FLOW_TCP_REPLIED,	   /* both directions seen */
	WEIR_FLOW_TCP_ESTABLISHED, /* and another packet of the initiator */
	WEIR_FLOW_TCP_HALF_CLOSED, /* a FIN from one side: the timeout of an established one */
	WEIR_FLOW_TCP_CLOSED,	   /* a FIN from both sides */
	WEIR_FLOW_TCP_RESET,
	WEIR_FLOW_UDP_NEW,
	WEIR_FLOW_UDP_ESTABLISHED, /* both directions seen */
	WEIR_FLOW_ICMP_ECHO,
	WEIR_FLOW_OTHER_NEW,
	WEIR_FLOW_OTHER_ESTABLISHED,
	WEIR_FLOW_FRAGMENTS, /* state of an alias for a datagram's later fragments */
	WEIR_FLOW_STATES = 16,
};

enum weir_flow_kind {
	WEIR_FLOW_ROW = 0,
	WEIR_FLOW_TRANSLATED, /* alias by the flow's translated tuple; `twin` is the flow */
	WEIR_FLOW_DATAGRAM,   /* alias by a datagram's identification; `twin` is the flow */
};

/* weir_flow.ends, and the direction of an alias */
#define WEIR_FLOW_FIN(side) (1 << (side))
#define WEIR_FLOW_RST(side) (4 << (side))
#define WEIR_FLOW_REVERSED 0x10
#define WEIR_FLOW_AFTER 0x20 /* a datagram's alias: its packets have the translated tuple */

/* The window of one direction, from `next`. Written as one word; 0: unknown. */
union weir_flow_side {
	__u64 word;
	struct {
		__u32 next;
		__u32 window;
	};
};

/*
 * A flow or an alias, in three cache lines: fields for finding; for translation and TCP; kept by functions. The
 * bytes of `spare` are zero until a later build names them. The schema counts a member named `spare` by its
 * size only, so such a build uses the table as it is.
 */
struct weir_flow {
	struct weir_flow_tuple original;
	union { /* changed by compare-and-swap, so that a change only applies to the flow with this stamp */
		__u64 life;
		struct {
			__u32 stamp; /* identifies this use of the row; odd while it is written */
			__u8 state;  /* enum weir_flow_state */
			__u8 ends;
			__u8 kind; /* enum weir_flow_kind */
			__u8 reserved;
		};
	};
	union {
		__u64 twin; /* reference to a flow's alias or an alias's flow; 0: none */
		struct {
			__u32 twin_stamp;
			__u32 twin_place;
		};
	};

	struct weir_flow_tuple translated; /* in the same direction; alias: its flow's original */
	union weir_flow_side side[2];	   /* of the initiator's bytes, of the responder's */

	__u32 service;
	__u32 backend;
	__u32 generation;  /* generation of the backend when it was chosen */
	__u32 identity[2]; /* of the initiator, of the responder */
	__u8 scale[2];	   /* shift of TCP windows */
	__u16 reserved2;
	__u64 verdict; /* weir_flow_verdict() */
	__u64 data;    /* for the function that owns the zone */
	__u32 opened;  /* units of time */
	__u8 spare[20];
};
_Static_assert(sizeof(struct weir_flow) == 192, "three cache lines");

/* Tags, expiry times and owners are separate from the rows: a search reads one cache line, an eviction four. */
struct weir_flow_bucket {
	__u16 tag[WEIR_FLOW_WAYS];     /* from the tuple's hash; 0: free */
	__u32 expires[WEIR_FLOW_WAYS]; /* units of time */
	__u16 owner[WEIR_FLOW_WAYS];
	struct bpf_spin_lock lock; /* held to write or remove a row */
	__u32 hand;		   /* the way after the last one written; of rows that expire at the same time this one is evicted first */
	__u8 spare[56];
	struct weir_flow row[WEIR_FLOW_WAYS];
};
_Static_assert(sizeof(struct weir_flow_bucket) == 5 * 64 + 192 * WEIR_FLOW_WAYS, "whole cache lines");

/*
 * MMAPABLE for its alignment: such an array begins on a page, so that buckets begin on cache lines. The kernel
 * refuses to mmap a map with locks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_bucket);
	__uint(max_entries, WEIR_FLOW_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_flow_buckets SEC(".maps");

/* An owner's use of the table, and counters of the flows that it opened. */
struct weir_flow_owner {
	__s64 held;	/* rows, including aliases and expired rows */
	__u64 opened;	/* flows */
	__u64 taken;	/* refused: the translated tuple is in use */
	__u64 replaced; /* live rows of its own that were evicted */
	__u64 evicted;	/* live rows of others that were evicted */
	__u64 lost;	/* live rows evicted for others */
	__u64 refused;	/* no room */
	__u8 spare[8];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_owner);
	__uint(max_entries, WEIR_FLOW_OWNERS);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_flow_owners SEC(".maps");

/*
 * Quotas of owners, set by userspace; 0: the table's default. Separate from the counters, which packets write.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, WEIR_FLOW_OWNERS);
} weir_flow_quotas SEC(".maps");

/* Written by userspace: before the first packet, and for quota and timeouts at any time. */
struct weir_flow_config {
	__u64 mix[2];  /* odd; secret keys of the hash, so that no sender can choose a bucket */
	__u32 key[12];
	__u32 mask;    /* number of buckets - 1; 0: no table */
	__u32 quota;   /* default quota of an owner */
	__u32 timeout[WEIR_FLOW_STATES]; /* units of time, by enum weir_flow_state */
	__u8 spare[56];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_config);
	__uint(max_entries, 1);
} weir_flow_config SEC(".maps");

/* The result of finding a flow. The pointers are valid for this program run. */
struct weir_flow_match {
	struct weir_flow *flow;
	struct weir_flow_bucket *bucket; /* the flow's bucket */
	__u32 place;	 /* the flow's place */
	__u32 stamp;	 /* the flow's stamp, to be compared when the row is changed later */
	__u8 reversed;	 /* 1: the packet has the responder's direction */
	__u8 translated; /* 1: the packet has the translated tuple */
	__u16 reserved;
};

WEIR_INLINE __u32 weir_flow_now(void)
{
	return bpf_ktime_get_coarse_ns() >> WEIR_FLOW_UNIT;
}

WEIR_INLINE struct weir_flow_config *weir_flow_configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_flow_config, &zero);
}

WEIR_INLINE struct weir_flow_bucket *weir_flow_bucket_of(__u32 index)
{
	return bpf_map_lookup_elem(&weir_flow_buckets, &index);
}

/*
 * Whether a time is in the future. Times wrap around after 18 years. A row that nothing has replaced would seem alive
 * again 9 years after its expiry: longer than a machine runs.
 */
WEIR_INLINE int weir_flow_alive(__u32 expires, __u32 now)
{
	return (__s32)(expires - now) > 0;
}

WEIR_INLINE __u32 weir_flow_place(__u32 bucket, __u32 way)
{
	return bucket << WEIR_FLOW_PLACE_SHIFT | way;
}
WEIR_INLINE __u32 weir_flow_way(__u32 place)
{
	return place & (WEIR_FLOW_WAYS - 1);
}

/* A reference to a use of a row. Never 0: a row in use has an even stamp of at least 2. */
WEIR_INLINE __u64 weir_flow_twin(__u32 place, __u32 stamp)
{
	return (__u64)place << 32 | stamp;
}

#include "flow_find.h"
#include "flow_packet.h"
#include "flow_state.h"
#include "flow_open.h"
