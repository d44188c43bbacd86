/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The flow table: connection tracking for all functions, pinned apart from the panels (docs/adr/0028-flow-table.md).
 *
 * A flow is one row, found by both directions' packets, before and after translation. Rows lie in buckets of
 * WEIR_FLOW_WAYS; a translated flow has a second row, an alias, in the bucket of its translated tuple. Nothing but
 * packets is needed for a row to end: an expired row gives its way to the next flow of its bucket, and a full bucket
 * evicts a flow of the owner that has the most of it (flow_put.h).
 *
 *	weir_flow_parse()	a packet's tuple (flow_packet.h)
 *	weir_flow_find()	the flow of a tuple (flow_find.h)
 *	weir_flow_see()		a packet of a flow: its state, its time-out (flow_state.h)
 *	weir_flow_new(), weir_flow_open()	a flow that is not there yet (flow_open.h)
 *	weir_flow_verdict(), weir_flow_judge()	a verdict kept with the flow (flow_state.h)
 *
 * The table never gives a verdict on a packet: what happens to one without a flow is the function's to say. In a
 * read-only run (weir_tracing) a function finds, and neither sees nor opens.
 */
#pragma once
#include "panel.h"

#define WEIR_FLOW_WAYS 32
#define WEIR_FLOW_PLACE_SHIFT 5 /* a place is bucket << 5 | way */
#define WEIR_FLOW_BUCKETS 4096	/* unless set at load; a power of two */
#define WEIR_FLOW_OWNERS 16384	/* unless set at load; a port's id is an owner */
#define WEIR_FLOW_UNIT 24	/* a unit of time is 2^24 ns, 16.8 ms */

/* What a flow is known by, in the direction of its first packet. 48 bytes, compared as words. */
struct weir_flow_tuple {
	__u32 zone;	/* space of tuples: those of two zones are never the same flow */
	__u8 family;	/* 4 or 6; WEIR_FLOW_PART: of a datagram in fragments */
	__u8 protocol;
	__u16 reserved;
	__u8 src[16];	/* IPv4 in the first four bytes */
	__u8 dst[16];
	__be16 src_port; /* ICMP echo: the identifier, in both; no ports: 0 */
	__be16 dst_port;
	__u32 reserved2;
} __attribute__((aligned(8)));
#define WEIR_FLOW_PART 0x80 /* ports are the datagram's identification */

/* Userspace reads the names from BTF. A flow's time-out is that of its state. */
enum weir_flow_state {
	WEIR_FLOW_NONE = 0,
	WEIR_FLOW_TCP_NEW,	   /* one direction seen */
	WEIR_FLOW_TCP_REPLIED,	   /* both */
	WEIR_FLOW_TCP_ESTABLISHED, /* … and the opener again */
	WEIR_FLOW_TCP_HALF_CLOSED, /* a FIN from one side: lives on like an established one */
	WEIR_FLOW_TCP_CLOSED,	   /* from both */
	WEIR_FLOW_TCP_RESET,
	WEIR_FLOW_UDP_NEW,
	WEIR_FLOW_UDP_ESTABLISHED, /* both directions seen */
	WEIR_FLOW_ICMP_ECHO,
	WEIR_FLOW_OTHER_NEW,
	WEIR_FLOW_OTHER_ESTABLISHED,
	WEIR_FLOW_FRAGMENTS, /* an alias: the rest of a datagram */
	WEIR_FLOW_STATES = 16,
};

enum weir_flow_kind {
	WEIR_FLOW_ROW = 0,
	WEIR_FLOW_TRANSLATED, /* an alias by the flow's translated tuple; `twin` is the flow */
	WEIR_FLOW_DATAGRAM,   /* an alias by a datagram's identification; `twin` is the flow */
};

/* weir_flow.ends and an alias's direction */
#define WEIR_FLOW_FIN(side) (1 << (side))
#define WEIR_FLOW_RST(side) (4 << (side))
#define WEIR_FLOW_REVERSED 0x10
#define WEIR_FLOW_AFTER 0x20 /* a datagram's: it carries the translated tuple */

/* What the receiver of one side's bytes takes: from `next` on. Written whole, as one word; 0: not known. */
union weir_flow_side {
	__u64 word;
	struct {
		__u32 next;
		__u32 window;
	};
};

/*
 * One flow, or an alias. Three cache lines: what finding needs, what translation and TCP need, what functions keep.
 * Bytes of `spare` are zero until a later build names them; a member named `spare` counts in the schema by its size
 * alone, so such a build uses the table as it is.
 */
struct weir_flow {
	struct weir_flow_tuple original;
	union { /* changed by compare-and-swap: of the flow that the stamp is of, or not at all */
		__u64 life;
		struct {
			__u32 stamp; /* of this use of the row; odd while it is written */
			__u8 state;  /* enum weir_flow_state */
			__u8 ends;
			__u8 kind; /* enum weir_flow_kind */
			__u8 reserved;
		};
	};
	union {
		__u64 twin; /* the alias of a flow, the flow of an alias; 0: none */
		struct {
			__u32 twin_stamp;
			__u32 twin_place;
		};
	};

	struct weir_flow_tuple translated; /* of the same direction; an alias: its flow's original */
	union weir_flow_side side[2];	   /* of the opener's bytes, of the answerer's */

	__u32 service;
	__u32 backend;
	__u32 generation;  /* the backend's, when it was chosen */
	__u32 identity[2]; /* the opener's, the answerer's */
	__u8 scale[2];	   /* of TCP windows */
	__u16 reserved2;
	__u64 verdict; /* weir_flow_verdict() */
	__u64 data;    /* the zone's function's own */
	__u32 opened;  /* units of time */
	__u8 spare[20];
};
_Static_assert(sizeof(struct weir_flow) == 192, "three cache lines");

/* Tags, ends and owners apart from the rows: a search reads one line, an eviction four. */
struct weir_flow_bucket {
	__u16 tag[WEIR_FLOW_WAYS];     /* of the tuple's hash; 0: free */
	__u32 expires[WEIR_FLOW_WAYS]; /* units of time */
	__u16 owner[WEIR_FLOW_WAYS];
	struct bpf_spin_lock lock; /* for whoever puts or removes a row */
	__u32 hand;		   /* the way after the one that was written last: of rows that end together it goes first */
	__u8 spare[56];
	struct weir_flow row[WEIR_FLOW_WAYS];
};
_Static_assert(sizeof(struct weir_flow_bucket) == 5 * 64 + 192 * WEIR_FLOW_WAYS, "whole cache lines");

/*
 * MMAPABLE for its alignment: such an array begins on a page, so that buckets begin on cache lines. The kernel refuses
 * to map one that has locks.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_bucket);
	__uint(max_entries, WEIR_FLOW_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_flow_buckets SEC(".maps");

/* What an owner has of the table, and what became of the flows that it opened. */
struct weir_flow_owner {
	__s64 held;	/* rows, aliases and rows that have expired included */
	__u64 opened;	/* flows */
	__u64 taken;	/* refused: the translated tuple is another flow's */
	__u64 replaced; /* living rows of its own that made room */
	__u64 evicted;	/* living rows of others that made room */
	__u64 lost;	/* living rows that made room for others' */
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

/* Rows that an owner may have, by userspace; 0: the table's default. Apart from what packets count. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, WEIR_FLOW_OWNERS);
} weir_flow_quotas SEC(".maps");

/* Written by userspace once, before the first packet; quota and time-outs at any time. */
struct weir_flow_config {
	__u64 mix[2];  /* odd; keys of the hash, secret: nobody chooses whose bucket his flows are in */
	__u32 key[12];
	__u32 mask;    /* number of buckets - 1; 0: there is no table */
	__u32 quota;   /* rows of one owner */
	__u32 timeout[WEIR_FLOW_STATES]; /* units of time, by enum weir_flow_state */
	__u8 spare[56];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_flow_config);
	__uint(max_entries, 1);
} weir_flow_config SEC(".maps");

/* What finding a flow gives: pointers live as long as the run. */
struct weir_flow_match {
	struct weir_flow *flow;
	struct weir_flow_bucket *bucket; /* the flow's */
	__u32 place;	 /* … and its way */
	__u32 stamp;	 /* the flow's: whoever changes the row later makes sure that it is still the same flow's */
	__u8 reversed;	 /* 1: the packet goes the way of the answerer's */
	__u8 translated; /* 1: it carries the translated tuple */
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

/* Is this time still to come? Times wrap around after 2.3 years. */
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

/* A reference to a use of a row: 0 is none, since a row in use has an even stamp of 2 or more. */
WEIR_INLINE __u64 weir_flow_twin(__u32 place, __u32 stamp)
{
	return (__u64)place << 32 | stamp;
}

#include "flow_find.h"
#include "flow_packet.h"
#include "flow_state.h"
#include "flow_open.h"
