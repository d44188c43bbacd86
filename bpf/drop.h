/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reasons of drops. Userspace reads the names from BTF; append only. */
#pragma once

enum weir_drop_reason {
	WEIR_DROP_NONE = 0,
	WEIR_DROP_PORT_DOWN,       /* the port has no peer */
	WEIR_DROP_NO_PORT,         /* the device belongs to no port in this generation */
	WEIR_DROP_NO_FUNCTION,     /* the slot is empty, or the tail call failed */
	WEIR_DROP_LOOP,            /* too many recirculations */
	WEIR_DROP_DELIVERY,        /* the device is gone, or there is no tunnel row */
	WEIR_DROP_MALFORMED,       /* headers truncated or inconsistent */
	WEIR_DROP_PROTOCOL,        /* neither IPv4, IPv6, ARP nor neighbour discovery */
	WEIR_DROP_SPOOFED,         /* the source address does not belong to the port */
	WEIR_DROP_NO_ROUTE,
	WEIR_DROP_TTL,             /* TTL or hop limit exceeded */
	WEIR_DROP_TOO_BIG,         /* exceeds the path MTU and must not be fragmented */
	WEIR_DROP_MULTICAST,       /* multicast and broadcast are not routed */
	WEIR_DROP_LINK_LOCAL,      /* link-local addresses are not routed */
	WEIR_DROP_NEIGHBOUR,       /* ARP or neighbour discovery for an address that is not the gateway's */
	WEIR_DROP_RATE_LIMIT,
	WEIR_DROP_SLOW_PATH,       /* slow path full, or over its rate */
	WEIR_DROP_FLOW_TABLE,      /* no room for the flow, or its translated tuple is in use */
	WEIR_DROP_ICMP_LIMIT,      /* an ICMP error was due, but over the port's rate */
	WEIR_DROP_TRACED,          /* end of a read-only run */
	WEIR_DROP_TUNNEL,          /* from a pod to a node's tunnel port, where any packet is trusted */
	WEIR_DROP_IMPAIRED,        /* lost by an impairment rule */
	WEIR_DROP_CUSTOM,          /* dropped by a user's program */
};
