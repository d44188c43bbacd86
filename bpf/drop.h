/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Why a packet was dropped. Userspace reads the names from BTF; append only. */
#pragma once

enum weir_drop_reason {
	WEIR_DROP_NONE = 0,
	WEIR_DROP_PORT_DOWN,       /* the port has no peer */
	WEIR_DROP_NO_PORT,         /* the device belongs to no port in this generation */
	WEIR_DROP_NO_FUNCTION,     /* the slot is empty, or the tail call failed */
	WEIR_DROP_LOOP,            /* too many recirculations */
	WEIR_DROP_DELIVERY,        /* the device refused: gone, or no tunnel row */
	WEIR_DROP_MALFORMED,       /* headers truncated or inconsistent */
	WEIR_DROP_PROTOCOL,        /* neither IPv4, IPv6, ARP nor neighbour discovery */
	WEIR_DROP_SPOOFED,         /* the source address is not the port's */
	WEIR_DROP_NO_ROUTE,
	WEIR_DROP_TTL,             /* TTL or hop limit exceeded */
	WEIR_DROP_TOO_BIG,         /* exceeds the path MTU and must not be fragmented */
	WEIR_DROP_MULTICAST,       /* multicast and broadcast are not routed */
	WEIR_DROP_LINK_LOCAL,      /* link-local addresses are not routed */
	WEIR_DROP_NEIGHBOUR,       /* ARP or neighbour discovery for an address that is not the gateway's */
	WEIR_DROP_RATE_LIMIT,
	WEIR_DROP_SLOW_PATH,       /* slow path full or over its rate */
	WEIR_DROP_FLOW_TABLE,      /* no room for the flow, or its tuple is taken */
	WEIR_DROP_ICMP_LIMIT,      /* an ICMP error was due but over the port's rate */
	WEIR_DROP_TRACED,          /* end of a read-only run */
	WEIR_DROP_TUNNEL,          /* from a pod to the tunnel port of a node, which believes what comes in there */
	WEIR_DROP_IMPAIRED,        /* lost on purpose: the pod's author asked for it */
	WEIR_DROP_CUSTOM,          /* a user's own program said so */
};
