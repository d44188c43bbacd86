/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The end of a tap's ingress chain: passes the pod's packet on into the network it was sent to. A tap's egress
 * chain ends in the hop WEIR_OP_BACK.
 */
#include "panel.h"

SEC("tc")
int weir_tap(struct __sk_buff *skb)
{
	struct weir_hop *hop = weir_hop_row(weir_get(skb, hop), weir_get(skb, state));

	if (!hop || weir_tracing(skb))
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	return weir_back(skb, hop, BPF_F_INGRESS);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
