/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Link control packets. */
#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include "panel.h"

/*
 * ARP, and neighbour discovery with a link-local or multicast address. They stay on the link, and are neither
 * limited nor impaired: if they were queued behind a flood, the pod would lose its gateway.
 */
WEIR_INLINE int weir_link_control(struct __sk_buff *skb)
{
	struct {
		__u8 source[16];
		__u8 destination[16];
		__u8 type;
	} packet;
	__u8 next[2]; /* next header, hop limit */

	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return 1;
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || weir_load(skb, ETH_HLEN + 6, next, 2))
		return 0;
	if (next[0] != IPPROTO_ICMPV6 || next[1] != 255)
		return 0;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 8, &packet, sizeof(packet)))
		return 0;
	if (packet.type < 133 || packet.type > 137)
		return 0;
	return packet.destination[0] == 0xff || (packet.destination[0] == 0xfe && packet.destination[1] >> 6 == 2) ||
	       (packet.source[0] == 0xfe && packet.source[1] >> 6 == 2);
}
