/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A token bucket without a queue: drops packets above the rate. Not part of any topology; `weir bench limits`
 * compares the limit with it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

const volatile __u64 weir_bucket_rate = 1000000; /* bit/s at layer 3 */
const volatile __u64 weir_bucket_depth = 5000000; /* burst, as ns at the rate */

/* theoretical arrival time of the next packet (GCRA), ns */
__u64 weir_bucket_next;

SEC("tc")
int weir_bucket(struct __sk_buff *skb)
{
	__u64 rate = weir_bucket_rate, now = bpf_ktime_get_ns(), next = weir_bucket_next;

	if (!rate || next > now + weir_bucket_depth)
		return TC_ACT_SHOT;
	if (next < now)
		next = now;
	weir_bucket_next = next + (__u64)(skb->len - 14) * 8000000000ULL / rate;
	return TC_ACT_OK;
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
