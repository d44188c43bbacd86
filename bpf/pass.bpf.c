/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A transparent function that does nothing, to measure the cost of a hop. */
#include "panel.h"

SEC("tc")
int weir_pass(struct __sk_buff *skb)
{
	return weir_next(skb);
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
