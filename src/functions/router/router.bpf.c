/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * router: routes between pods, nodes and the node's own stack, for both families.
 *
 *   ARP, neighbour solicitation ─► answered through the port they came in by
 *   IP ─► source check ─► host row, else longest prefix ─► TTL ─► MTU ─► MACs ─► out
 *                             └─ the router's own address: echo answered
 * A packet that cannot be forwarded is replaced by an ICMP error, or dropped with a reason.
 * No byte of a packet is changed before the decision is complete.
 */
#include "tables.h"
#include "neighbour.h"
#include "error.h"

WEIR_INLINE int rt_link_local(const struct weir_rt_host_key *key)
{
	if (key->family == 4)
		return key->addr[0] == 169 && key->addr[1] == 254;
	return key->addr[0] == 0xfe && (key->addr[1] & 0xc0) == 0x80;
}

/* Checks the usual source address of most pods without a look-up. */
WEIR_INLINE int rt_is_usual_source(const struct rt_run *run)
{
	const __u32 *src = (const __u32 *)run->src.addr, *own = (const __u32 *)run->in->source6;

	if (run->src.family == 4)
		return src[0] && src[0] == *(const __u32 *)run->in->source4;
	return (src[0] | src[1] | src[2] | src[3]) && src[0] == own[0] && src[1] == own[1] && src[2] == own[2] &&
	       src[3] == own[3];
}

/*
 * Whether src belongs to the port. Link-local sources may talk to the router itself, which answers through the
 * same port.
 */
WEIR_INLINE int rt_check_source(struct rt_run *run, const struct weir_rt_target *dst)
{
	struct weir_rt_target *src;

	if (!(run->in->flags & WEIR_RT_STRICT) || rt_is_usual_source(run))
		return 0;
	if (rt_link_local(&run->src))
		return dst && dst->flags & WEIR_RT_LOCAL ? 0 : RT_DROP(WEIR_DROP_LINK_LOCAL);
	src = rt_host(&run->src);
	if (!src || src->port != run->port || src->flags & WEIR_RT_LOCAL)
		return RT_DROP(WEIR_DROP_SPOOFED);
	return 0;
}

/* Family-independent part of the decision. Sets run->to and run->out; returns RT_LOCAL, an error or a drop. */
WEIR_INLINE int rt_decide(struct rt_run *run)
{
	struct weir_rt_target *to = rt_host(&run->dst);
	int fault = rt_check_source(run, to);

	if (fault)
		return fault;
	if (to && to->flags & WEIR_RT_LOCAL)
		return RT_LOCAL;
	if (rt_link_local(&run->src) || rt_link_local(&run->dst))
		return RT_DROP(WEIR_DROP_LINK_LOCAL);
	if (!to) {
		to = rt_route(&run->dst);
		if (!to)
			return RT_ERROR(WEIR_ICMP_NO_ROUTE);
		if (to->flags & WEIR_RT_BLACKHOLE)
			return RT_DROP(WEIR_DROP_NO_ROUTE);
		if (to->flags & WEIR_RT_UNREACHABLE)
			return RT_ERROR(WEIR_ICMP_ADDRESS);
		if (to->flags & WEIR_RT_PROHIBITED)
			return RT_ERROR(WEIR_ICMP_PROHIBITED);
		if (run->in->flags & WEIR_RT_OVERLAY)
			return RT_ERROR(WEIR_ICMP_NO_ROUTE); /* the router does not forward between nodes */
	}
	if (to->port == run->port && run->in->flags & WEIR_RT_HOST)
		return RT_ERROR(WEIR_ICMP_NO_ROUTE);
	run->to = to;
	run->out = rt_port(to->port);
	return run->out ? 0 : RT_DROP(WEIR_DROP_PORT_DOWN);
}

/*
 * A node trusts packets on its tunnel port to come from other nodes. A pod that could send there could spoof
 * any pod. Later fragments are passed, since they are useless without the first.
 */
WEIR_INLINE int rt_guards_tunnel(const struct rt_run *run)
{
	return run->in->tunnel_port && (run->out->flags & WEIR_RT_HOST || run->to->flags & WEIR_RT_NODE);
}

WEIR_INLINE int rt_check_tunnel(struct __sk_buff *skb, const struct rt_run *run, __u32 l4)
{
	__be16 port;

	if (bpf_skb_load_bytes(skb, l4 + 2, &port, sizeof(port)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	return port == bpf_htons(run->in->tunnel_port) ? RT_DROP(WEIR_DROP_TUNNEL) : 0;
}

WEIR_INLINE int rt_check_tunnel6(struct __sk_buff *skb, const struct rt_run *run, __u8 first)
{
	struct weir_l4 l4;

	if (weir_ip6_l4(skb, first, &l4))
		return RT_DROP(WEIR_DROP_MALFORMED);
	return l4.protocol == IPPROTO_UDP && !l4.later ? rt_check_tunnel(skb, run, l4.offset) : 0;
}

/* Layer-3 size of one packet on the wire: of one segment, for a GSO packet. */
WEIR_INLINE __u32 rt_wire_len(struct __sk_buff *skb, __u32 len, __u32 l4, __u8 protocol)
{
	__u8 offset;

	if (!skb->gso_size)
		return len;
	if (protocol == IPPROTO_UDP)
		return l4 - ETH_HLEN + 8 + skb->gso_size;
	if (protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, l4 + 12, &offset, 1))
		return 0; /* an encapsulated packet: the tunnel device has ensured its size */
	return l4 - ETH_HLEN + (offset >> 4) * 4 + skb->gso_size;
}

WEIR_INLINE void rt_rewrite(struct ethhdr *eth, const __u8 *to, const __u8 *from)
{
	__builtin_memcpy(eth->h_dest, to, 6);
	__builtin_memcpy(eth->h_source, from, 6);
}

/* Answers echo requests to the router itself. */
static __noinline int rt_local4(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct weir_icmp *icmp;
	struct ethhdr *eth;
	struct iphdr *ip;
	__be32 address;

	if (weir_pull(skb, run->l4 + sizeof(*icmp)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	ip = eth ? weir_parse_ip4(&cursor, skb) : 0;
	if (!ip)
		return RT_DROP(WEIR_DROP_MALFORMED);
	if (weir_ip4_fragment(ip))
		return RT_DROP(WEIR_DROP_PROTOCOL);
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP)
		return RT_ERROR(WEIR_ICMP_PORT);
	icmp = weir_parse_icmp(&cursor);
	if (ip->protocol != IPPROTO_ICMP || !icmp || icmp->type != WEIR_ICMP_ECHO || icmp->code)
		return RT_DROP(WEIR_DROP_PROTOCOL);
	rt_rewrite(eth, eth->h_source, run->in->mac);
	address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	weir_ip4_set_ttl(ip, 64);
	icmp->type = WEIR_ICMP_ECHO_REPLY;
	icmp->checksum = weir_csum_replace(icmp->checksum, bpf_htons(WEIR_ICMP_ECHO << 8), 0);
	return rt_answer_port(run);
}

static __noinline int rt_local6(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct icmp6hdr *icmp;
	struct in6_addr address;
	struct ipv6hdr *ip6;
	struct ethhdr *eth;

	if (weir_pull(skb, ETH_HLEN + sizeof(*ip6) + sizeof(*icmp)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	ip6 = eth ? weir_parse_ip6(&cursor) : 0;
	icmp = ip6 ? weir_parse_icmp6(&cursor) : 0;
	if (!icmp)
		return RT_DROP(WEIR_DROP_MALFORMED);
	if (ip6->nexthdr == IPPROTO_TCP || ip6->nexthdr == IPPROTO_UDP)
		return RT_ERROR(WEIR_ICMP_PORT);
	if (ip6->nexthdr != IPPROTO_ICMPV6 || icmp->icmp6_type != ICMPV6_ECHO_REQUEST || icmp->icmp6_code)
		return RT_DROP(WEIR_DROP_PROTOCOL);
	rt_rewrite(eth, eth->h_source, run->in->mac);
	address = ip6->saddr;
	ip6->saddr = ip6->daddr;
	ip6->daddr = address;
	weir_ip6_set_hop_limit(skb, ip6, 64);
	icmp->icmp6_type = ICMPV6_ECHO_REPLY;
	icmp->icmp6_cksum = weir_csum_replace(icmp->icmp6_cksum, bpf_htons(ICMPV6_ECHO_REQUEST << 8),
					      bpf_htons(ICMPV6_ECHO_REPLY << 8));
	return rt_answer_port(run);
}

WEIR_INLINE int rt_ip4(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct ethhdr *eth;
	struct iphdr *ip;
	__u32 len;
	int fault;

	if (weir_pull(skb, ETH_HLEN + sizeof(*ip)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	ip = cursor.pos + ETH_HLEN;
	if ((void *)(ip + 1) > cursor.end)
		return RT_DROP(WEIR_DROP_MALFORMED);
	run->l4 = ETH_HLEN + ip->ihl * 4;
	if (weir_pull(skb, run->l4))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	ip = eth ? weir_parse_ip4(&cursor, skb) : 0;
	if (!ip || !weir_ip4_csum_ok(ip, cursor.end))
		return RT_DROP(WEIR_DROP_MALFORMED);
	__builtin_memcpy(run->src.addr, &ip->saddr, 4);
	__builtin_memcpy(run->dst.addr, &ip->daddr, 4);
	if (eth->h_dest[0] & 1 || (run->dst.addr[0] & 0xf0) == 224 || ip->daddr == 0xffffffff)
		return RT_DROP(WEIR_DROP_MULTICAST);
	fault = rt_decide(run);
	if (!fault && ip->protocol == IPPROTO_UDP && rt_guards_tunnel(run) && !weir_ip4_later_fragment(ip))
		fault = rt_check_tunnel(skb, run, run->l4);
	if (fault)
		return fault;
	if (ip->ttl <= 1)
		return RT_ERROR(WEIR_ICMP_EXPIRED);
	run->mtu = run->out->mtu;
	len = weir_ip4_len(skb, ip);
	if (weir_unlikely(len > run->mtu) && rt_wire_len(skb, len, run->l4, ip->protocol) > run->mtu) {
		if (ip->frag_off & bpf_htons(WEIR_IP_DF) || !(run->in->flags & WEIR_RT_FRAGMENT))
			return RT_ERROR(WEIR_ICMP_TOO_BIG);
		rt_rewrite(eth, run->in->fragmenter_mac, run->in->mac);
		return RT_PORT(run->in->fragmenter); /* whose stack decrements TTL */
	}
	rt_rewrite(eth, run->to->mac, run->out->mac);
	weir_ip4_set_ttl(ip, ip->ttl - 1);
	run->tunnel = run->to->tunnel;
	return RT_PORT(run->to->port);
}

/* Neighbour and router discovery are limited to this link. */
WEIR_INLINE int rt_discovery(struct __sk_buff *skb, struct rt_run *run)
{
	__u8 type;

	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(struct ipv6hdr), &type, 1))
		return RT_DROP(WEIR_DROP_MALFORMED);
	if (type == ND_SOLICIT)
		return rt_solicitation(skb, run);
	if (type == ND_ROUTER_SOLICIT)
		return RT_DROP(WEIR_DROP_MULTICAST);
	return type > ND_ROUTER_SOLICIT && type <= ND_REDIRECT ? RT_DROP(WEIR_DROP_NEIGHBOUR) : 0;
}

WEIR_INLINE int rt_ip6(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_cursor cursor;
	struct weir_l4 l4;
	struct ipv6hdr *ip6;
	struct ethhdr *eth;
	__u32 len;
	int fault;

	if (weir_pull(skb, ETH_HLEN + sizeof(*ip6)))
		return RT_DROP(WEIR_DROP_MALFORMED);
	cursor = weir_cursor(skb);
	eth = weir_parse_eth(&cursor);
	ip6 = eth ? weir_parse_ip6(&cursor) : 0;
	if (!ip6 || ip6->version != 6)
		return RT_DROP(WEIR_DROP_MALFORMED);
	len = weir_ip6_len(skb, ip6);
	if (len > skb->len - ETH_HLEN)
		return RT_DROP(WEIR_DROP_MALFORMED);
	__builtin_memcpy(run->src.addr, &ip6->saddr, 16);
	__builtin_memcpy(run->dst.addr, &ip6->daddr, 16);
	if (weir_unlikely(ip6->nexthdr == IPPROTO_ICMPV6)) {
		fault = rt_discovery(skb, run);
		if (fault)
			return fault;
		cursor = weir_cursor(skb);
		eth = weir_parse_eth(&cursor);
		ip6 = eth ? weir_parse_ip6(&cursor) : 0;
		if (!ip6)
			return RT_DROP(WEIR_DROP_MALFORMED);
	}
	if (eth->h_dest[0] & 1 || run->dst.addr[0] == 0xff)
		return RT_DROP(WEIR_DROP_MULTICAST);
	fault = rt_decide(run);
	if (!fault && rt_guards_tunnel(run))
		fault = rt_check_tunnel6(skb, run, ip6->nexthdr);
	if (fault)
		return fault;
	if (ip6->hop_limit <= 1)
		return RT_ERROR(WEIR_ICMP_EXPIRED);
	run->mtu = run->out->mtu;
	if (weir_unlikely(len > run->mtu) &&
	    (weir_ip6_l4(skb, ip6->nexthdr, &l4) ||
	     rt_wire_len(skb, len, l4.offset, l4.protocol) > run->mtu + weir_ip6_big_header(skb, ip6)))
		return RT_ERROR(WEIR_ICMP_TOO_BIG);
	rt_rewrite(eth, run->to->mac, run->out->mac);
	weir_ip6_set_hop_limit(skb, ip6, ip6->hop_limit - 1);
	run->tunnel = run->to->tunnel;
	return RT_PORT(run->to->port);
}

/* Reads run->dst from the packet without further checks. Returns 0, or a negative value. */
WEIR_INLINE int rt_read_destination(struct __sk_buff *skb, struct rt_run *run)
{
	if (run->dst.family == 4)
		return bpf_skb_load_bytes(skb, ETH_HLEN + 16, run->dst.addr, 4);
	if (run->dst.family == 6)
		return bpf_skb_load_bytes(skb, ETH_HLEN + 24, run->dst.addr, 16);
	return 0;
}

/* On an uplink the router only takes packets to local pods; all others are left to the stack. */
WEIR_INLINE int rt_is_for_pod(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_rt_target *to;
	struct weir_rt_port *out;

	if (skb->vlan_present || skb->pkt_type != 0 /* PACKET_HOST */ || rt_read_destination(skb, run))
		return 0;
	to = rt_host(&run->dst);
	if (!to || to->flags & WEIR_RT_LOCAL)
		return 0;
	out = rt_port(to->port);
	return out && !(out->flags & WEIR_RT_HOST);
}

/* A packet that lost its tunnel id on a detour gets it again from the route to its destination. */
static __noinline int rt_tunnel_again(struct __sk_buff *skb, struct rt_run *run)
{
	struct weir_rt_target *to = rt_read_destination(skb, run) ? 0 : rt_route(&run->dst);

	return to && to->port == run->port ? to->tunnel : 0;
}

SEC("tc")
int weir_router(struct __sk_buff *skb)
{
	struct rt_run run = { .port = weir_port(skb) };
	int verdict;

	run.in = rt_port(run.port);
	if (!run.in)
		return weir_drop(skb, WEIR_DROP_PORT_DOWN);
	run.src.instance = run.dst.instance = weir_instance(skb);
	run.src.family = run.dst.family = skb->protocol == bpf_htons(ETH_P_IP)	  ? 4
					  : skb->protocol == bpf_htons(ETH_P_IPV6) ? 6
										   : 0;
	if (weir_unlikely(weir_asked(skb)))
		return weir_forward_by(skb, rt_tunnel_again(skb, &run));
	if (run.in->flags & WEIR_RT_UPLINK && !rt_is_for_pod(skb, &run))
		return weir_stack(skb);
	if (skb->vlan_present)
		verdict = RT_DROP(WEIR_DROP_PROTOCOL);
	else if (run.src.family == 4)
		verdict = rt_ip4(skb, &run);
	else if (run.src.family == 6)
		verdict = rt_ip6(skb, &run);
	else if (skb->protocol == bpf_htons(ETH_P_ARP))
		verdict = rt_arp(skb, &run);
	else
		verdict = RT_DROP(WEIR_DROP_PROTOCOL);
	if (verdict == RT_LOCAL)
		verdict = run.src.family == 4 ? rt_local4(skb, &run) : rt_local6(skb, &run);
	if (weir_unlikely(verdict & RT_ERROR_BIT))
		verdict = run.src.family == 4 ? rt_error4(skb, &run, verdict & RT_VALUE)
					      : rt_error6(skb, &run, verdict & RT_VALUE);
	if (weir_unlikely(verdict & RT_DROP_BIT))
		return weir_drop(skb, verdict & RT_VALUE);
	if (weir_unlikely(verdict == RT_GONE))
		return weir_gone(skb);
	return weir_forward_to(skb, verdict & RT_VALUE, run.tunnel);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
