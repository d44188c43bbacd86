/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The end of a tap's ingress chain: what the pod sent goes on where it was going, by the network that the pod has.
 * The end of its egress chain is a hop of its own, WEIR_OP_BACK.
 */
#include "panel.h"

SEC("tc")
int weir_tap(struct __sk_buff *skb)
{
	struct weir_hop *hop = weir_hop_row(skb, weir_get(skb, hop));

	if (!hop || weir_tracing(skb))
		return weir_drop(skb, WEIR_DROP_DELIVERY);
	return weir_back(skb, hop, BPF_F_INGRESS);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
