/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Packets of pods with `hostNetwork: true`, on a device of the node. The pod is identified by the cgroup of the
 * socket that sends or receives the packet.
 */
#pragma once
#include <bpf/bpf_core_read.h>
#include "parse.h"

#define WEIR_CGROUP_LEVELS 16 /* maximum depth of a pod's cgroup below the root */
#define WEIR_AF_INET 2
#define WEIR_AF_INET6 10

struct weir_cgroup_key {
	__u64 id; /* cgroup v2 */
};
struct weir_cgroup {
	__u32 port;
	__u32 reserved;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct weir_cgroup_key);
	__type(value, struct weir_cgroup);
	__uint(max_entries, WEIR_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_cgroups SEC(".maps");

/* Fields of the kernel's structures that are read; their offsets are relocated for the running kernel. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node {
	__u64 id;
};
struct cgroup;
struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};
struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};
struct sock_cgroup_data {
	struct cgroup *cgroup;
};
struct sock {
	struct sock_cgroup_data sk_cgrp_data;
};
#pragma clang attribute pop

/* The port of the pod whose socket sent the packet; 0: none. Containers have cgroups below the pod's. */
WEIR_INLINE struct weir_cgroup *weir_sender(struct __sk_buff *skb)
{
	struct weir_cgroup_key key;
	struct weir_cgroup *found;

	for (int level = 1; level <= WEIR_CGROUP_LEVELS; level++) {
		key.id = bpf_skb_ancestor_cgroup_id(skb, level);
		if (!key.id)
			return 0;
		found = bpf_map_lookup_elem(&weir_cgroups, &key);
		if (found)
			return found;
	}
	return 0;
}

/*
 * The port of the pod of a socket that was looked up. Older kernels have no helper for this in tc programs, so
 * the socket's cgroup is read as memory, through an address: the verifier allows no arithmetic on socket
 * pointers.
 */
WEIR_INLINE struct weir_cgroup *weir_cgroup_of(struct bpf_sock *sk)
{
	struct cgroup_subsys_state *parent;
	struct weir_cgroup_key key;
	struct weir_cgroup *found;
	struct cgroup *cgroup;
	struct bpf_sock *held = sk;
	struct sock *address = 0;

	if (bpf_probe_read_kernel(&address, sizeof(address), &held))
		return 0;
	cgroup = BPF_CORE_READ(address, sk_cgrp_data.cgroup);
	for (int level = 0; cgroup && level < WEIR_CGROUP_LEVELS; level++) {
		key.id = BPF_CORE_READ(cgroup, kn, id);
		found = bpf_map_lookup_elem(&weir_cgroups, &key);
		if (found)
			return found;
		parent = BPF_CORE_READ(cgroup, self.parent);
		if (!parent)
			return 0;
		cgroup = BPF_CORE_READ(parent, cgroup);
	}
	return 0;
}

/* The receiver of a packet: addresses, ports and protocol. */
struct weir_receiver {
	struct bpf_sock_tuple tuple;
	struct bpf_fib_lookup route;
	__u8 protocol;
};

WEIR_INLINE int weir_read_ip4(struct __sk_buff *skb, struct weir_receiver *to)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || weir_ip4_later_fragment(&ip))
		return -1;
	to->protocol = ip.protocol;
	to->tuple.ipv4.saddr = ip.saddr;
	to->tuple.ipv4.daddr = ip.daddr;
	to->route.family = WEIR_AF_INET;
	to->route.ipv4_src = ip.saddr;
	to->route.ipv4_dst = ip.daddr;
	return bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &to->tuple.ipv4.sport, 4);
}

WEIR_INLINE int weir_read_ip6(struct __sk_buff *skb, struct weir_receiver *to)
{
	struct ipv6hdr ip;
	struct weir_l4 l4;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || weir_ip6_l4(skb, ip.nexthdr, &l4) || l4.later)
		return -1;
	to->protocol = l4.protocol;
	__builtin_memcpy(to->tuple.ipv6.saddr, &ip.saddr, 16);
	__builtin_memcpy(to->tuple.ipv6.daddr, &ip.daddr, 16);
	to->route.family = WEIR_AF_INET6;
	__builtin_memcpy(to->route.ipv6_src, &ip.saddr, 16);
	__builtin_memcpy(to->route.ipv6_dst, &ip.daddr, 16);
	return bpf_skb_load_bytes(skb, l4.offset, &to->tuple.ipv6.sport, 4);
}

/*
 * Whether the destination is an address of the node. A socket on a wildcard address would also be found for
 * forwarded packets.
 */
WEIR_INLINE int weir_is_local(struct __sk_buff *skb, struct weir_receiver *to)
{
	long result;

	to->route.ifindex = skb->ifindex;
	result = bpf_fib_lookup(skb, &to->route, sizeof(to->route), 0);
	return result == BPF_FIB_LKUP_RET_NOT_FWDED || result == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* Separate code per family, since the verifier needs constant sizes. */
WEIR_INLINE struct bpf_sock *weir_socket_for(struct __sk_buff *skb, struct weir_receiver *to)
{
	__u64 here = BPF_F_CURRENT_NETNS;

	if (to->route.family == WEIR_AF_INET) {
		if (to->protocol == IPPROTO_TCP)
			return bpf_sk_lookup_tcp(skb, &to->tuple, sizeof(to->tuple.ipv4), here, 0);
		if (to->protocol == IPPROTO_UDP)
			return bpf_sk_lookup_udp(skb, &to->tuple, sizeof(to->tuple.ipv4), here, 0);
		return 0;
	}
	if (to->protocol == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(skb, &to->tuple, sizeof(to->tuple.ipv6), here, 0);
	if (to->protocol == IPPROTO_UDP)
		return bpf_sk_lookup_udp(skb, &to->tuple, sizeof(to->tuple.ipv6), here, 0);
	return 0;
}

/* The port of the pod whose socket receives the packet; 0: none. */
WEIR_INLINE struct weir_cgroup *weir_recipient(struct __sk_buff *skb)
{
	struct weir_receiver to = {};
	struct weir_cgroup *found;
	struct bpf_sock *sk;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? weir_read_ip4(skb, &to) :
	    skb->protocol == bpf_htons(ETH_P_IPV6) ? weir_read_ip6(skb, &to) : -1)
		return 0;
	sk = weir_socket_for(skb, &to);
	if (!sk)
		return 0;
	found = weir_cgroup_of(sk);
	bpf_sk_release(sk);
	return found && weir_is_local(skb, &to) ? found : 0;
}
