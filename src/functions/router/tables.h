/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Maps of the router. Addresses are in network order; IPv4 in the first four bytes, the rest zero. */
#pragma once
#include "icmp.h"

enum weir_rt_target_flags {
	WEIR_RT_LOCAL = 1,       /* hosts: an address of the router itself */
	WEIR_RT_UNREACHABLE = 2, /* routes: send address unreachable */
	WEIR_RT_PROHIBITED = 4,  /* routes: send administratively prohibited */
	WEIR_RT_BLACKHOLE = 8,   /* routes: drop without an error */
	WEIR_RT_NODE = 16,       /* routes: another node's own address */
};

enum weir_rt_port_flags {
	WEIR_RT_STRICT = 1,   /* a source must have a host row with this port */
	WEIR_RT_PROXY = 2,    /* answer ARP and neighbour solicitations for addresses behind other ports */
	WEIR_RT_HOST = 4,     /* the node's own stack: routes do not lead back to it */
	WEIR_RT_UPLINK = 8,   /* packets to other addresses than local pods' are left to the stack */
	WEIR_RT_OVERLAY = 16, /* delivers to hosts only; answers are routed by destination */
	WEIR_RT_FRAGMENT = 32, /* `fragmenter` and `fragmenter_mac` are valid */
};

struct weir_rt_host_key {
	__u32 instance;
	__u32 family; /* 4 or 6 */
	__u8 addr[16];
};
struct weir_rt_route_key {
	__u32 prefixlen; /* 64 + the CIDR's prefix length */
	__u32 instance;
	__u32 family;
	__u8 addr[16];
};
/* where a packet is sent: port, MAC address, and tunnel if the port has tunnels */
struct weir_rt_target {
	__u32 port;
	enum weir_rt_target_flags flags;
	__u8 mac[6];
	__u16 tunnel; /* row of weir_tunnels; 0: none */
};
struct weir_rt_port {
	enum weir_rt_port_flags flags;
	__u32 mtu;            /* bytes at layer 3; 0: no such port */
	__u32 fragmenter;     /* port to the stack, which fragments IPv4 */
	__u8 mac[6];          /* the router's address on this port */
	__u8 fragmenter_mac[6];
	__u8 gateway4[4];     /* source of ICMP errors; zero: none are sent */
	__u8 gateway6[16];
	__u16 tunnel_port;    /* the nodes' tunnel port, UDP, closed to this port's packets; 0: none */
	__u16 reserved;
	/* strict: an address of each family whose host row has this port; zero: look up the host row */
	__u8 source4[4];
	__u8 source6[16];
};

/* addresses of pods, of the node and of the router itself */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_rt_host_key);
	__type(value, struct weir_rt_target);
	__uint(max_entries, 4 * WEIR_PORTS);
} weir_rt_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct weir_rt_route_key);
	__type(value, struct weir_rt_target);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_rt_routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); /* port */
	__type(value, struct weir_rt_port);
	__uint(max_entries, WEIR_PORTS);
} weir_rt_ports SEC(".maps");

/* state: theoretical arrival time (GCRA, ns) of the next ICMP error, per port */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, WEIR_PORTS);
} weir_rt_icmp SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_icmp_frame);
	__uint(max_entries, 1);
} weir_rt_frame SEC(".maps");

WEIR_INLINE struct weir_rt_target *rt_host(const struct weir_rt_host_key *key)
{
	return bpf_map_lookup_elem(&weir_rt_hosts, key);
}

WEIR_INLINE struct weir_rt_target *rt_route(const struct weir_rt_host_key *host)
{
	struct weir_rt_route_key key = { .prefixlen = 192, .instance = host->instance, .family = host->family };

	__builtin_memcpy(key.addr, host->addr, 16);
	return bpf_map_lookup_elem(&weir_rt_routes, &key);
}

WEIR_INLINE struct weir_rt_port *rt_port(__u32 id)
{
	struct weir_rt_port *port = bpf_map_lookup_elem(&weir_rt_ports, &id);

	return port && port->mtu ? port : 0;
}
