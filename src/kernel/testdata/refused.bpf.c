/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Reads beyond what it has checked: the verifier must refuse it. */
SEC("tc")
int test_refused(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;

	return data[40];
}

char _license[] SEC("license") = "Dual BSD/GPL";
