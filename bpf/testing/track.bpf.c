/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Functions that only track flows, run by kernel tests and `weir bench flows` (BPF_PROG_TEST_RUN). Not part of
 * any topology.
 */
#include "burst.h"

/* Input of weir_track in skb->cb, and its result. */
struct track_asked {
	__u32 zone;
	__u32 owner;
	__u32 later;	 /* units of time from now */
	__u32 translate; /* destination port and, in the high half, source port after translation; 0: not translated */
	__u32 service;
};
struct track_told {
	__u32 result; /* enum track_result */
	__u32 state;
	__u32 how; /* 1: reversed, 2: translated, 4: an ICMP error, 8: AGAIN was seen */
	__u32 place;
	__u32 service; /* the flow's service */
};

WEIR_INLINE void track_translate(struct weir_flow_tuple *tuple, __u32 ports)
{
	if (ports & 0xffff)
		tuple->dst_port = bpf_htons(ports);
	if (ports >> 16)
		tuple->src_port = bpf_htons(ports >> 16);
}

WEIR_INLINE int track_open(struct weir_flow_match *match, struct weir_flow_packet *packet,
			   const struct track_asked *asked, __u32 now, __u32 anew)
{
	struct weir_flow_new *new = weir_flow_new(packet, asked->owner, now);

	if (!new)
		return TRACK_REFUSED;
	new->anew = anew;
	new->flow.service = asked->service;
	new->translated = asked->translate != 0;
	track_translate(&new->flow.translated, asked->translate);
	switch (weir_flow_open(new)) {
	case WEIR_FLOW_OPENED:
		return weir_flow_at(new, match) ? TRACK_OPENED : TRACK_MISSED;
	case WEIR_FLOW_FOUND:
		return weir_flow_at(new, match) ? TRACK_FOUND : TRACK_MISSED;
	case WEIR_FLOW_TAKEN:
		return TRACK_TAKEN;
	}
	return TRACK_REFUSED;
}

WEIR_INLINE void track(struct __sk_buff *skb, const struct track_asked *asked, struct track_told *told)
{
	__u32 now = weir_flow_now() + asked->later;
	struct weir_flow_match match;
	struct weir_flow_packet packet;
	int state;

	told->result = TRACK_NO_FLOW;
	if (weir_flow_parse(skb, asked->zone, &packet))
		return;
	told->result = TRACK_FOUND;
	if (packet.error)
		told->how |= 4;
	if (!weir_flow_find(&packet.tuple, now, &match)) {
		told->result = packet.error || packet.part == WEIR_FLOW_LATER ? TRACK_MISSED :
			       track_open(&match, &packet, asked, now, 0);
	} else if (weir_flow_see(&match, &packet, now) == WEIR_FLOW_AGAIN) {
		told->how |= 8;
		told->result = track_open(&match, &packet, asked, now, match.stamp);
	}
	if (told->result > TRACK_OPENED || !match.flow)
		return;
	if (packet.part == WEIR_FLOW_HEAD)
		weir_flow_expect(&match, &packet, now);
	state = match.flow->state;
	told->state = state;
	told->how |= match.reversed | match.translated << 1;
	told->place = match.place;
	told->service = match.flow->service;
}

/* Tracks one packet like a function does: finds its flow, or opens it. */
SEC("tc")
int weir_track(struct __sk_buff *skb)
{
	struct track_asked asked = { skb->cb[0], skb->cb[1], skb->cb[2], skb->cb[3], skb->cb[4] };
	struct track_told told = {};

	track(skb, &asked, &told);
	skb->cb[0] = told.result;
	skb->cb[1] = told.state;
	skb->cb[2] = told.how;
	skb->cb[3] = told.place;
	skb->cb[4] = told.service;
	return TC_ACT_OK;
}

/* Checks that the flow is found by its reply, with any translation. */
WEIR_INLINE void track_again(struct track_burst *burst, const struct weir_flow_match *match, __u32 now)
{
	struct weir_flow_match found;
	struct weir_flow_tuple answer;

	track_answer(&match->flow->translated, &answer);
	weir_flow_find(&answer, now, &found);
	if (found.flow != match->flow || !found.reversed)
		burst->lost++;
}

/* Does the work once, for the next number of the row in skb->mark. */
SEC("tc")
int weir_track_burst(struct __sk_buff *skb)
{
	__u32 row = skb->mark, now;
	struct track_burst *burst = bpf_map_lookup_elem(&weir_track_bursts, &row);
	struct track_asked asked = {};
	struct weir_flow_match match = {};
	struct weir_flow_packet packet;
	struct weir_flow_tuple answer;
	int result = TRACK_FOUND;
	__u64 n;

	if (!burst || !burst->flows || !burst->owners || !burst->pace)
		return TC_ACT_SHOT;
	n = burst->next++;
	now = weir_flow_now() + burst->later + n / burst->pace;
	n %= burst->flows;
	track_flow(burst, n, &packet);
	asked.owner = burst->owner + n % burst->owners;
	asked.translate = burst->translate ? burst->translate | (1024 + (n & 0x3fff)) << 16 : 0;
	switch (burst->work) {
	case TRACK_FIND_ANSWER:
		track_translate(&packet.tuple, asked.translate);
		track_answer(&packet.tuple, &answer);
		packet.tuple = answer;
		/* fall through */
	case TRACK_FIND:
		result = weir_flow_find(&packet.tuple, now, &match) ? TRACK_FOUND : TRACK_MISSED;
		break;
	case TRACK_SEE_ANSWER:
	case TRACK_INSERT_ANSWER:
		track_answer(&packet.tuple, &answer);
		packet.tuple = answer;
		packet.ack = 1; /* the opener's SYN has number 0 */
		if (burst->work == TRACK_INSERT_ANSWER) {
			result = track_open(&match, &packet, &asked, now, 0);
			break;
		}
		/* fall through */
	case TRACK_SEE:
		packet.flags = burst->flags ? burst->flags : WEIR_TCP_ACK;
		result = weir_flow_find(&packet.tuple, now, &match) ? TRACK_FOUND : TRACK_MISSED;
		if (match.flow)
			weir_flow_see(&match, &packet, now);
		break;
	case TRACK_OPEN:
		if (!weir_flow_find(&packet.tuple, now, &match))
			result = track_open(&match, &packet, &asked, now, 0);
		if (match.flow && result == TRACK_OPENED) /* a flow that another CPU is opening has no alias yet */
			track_again(burst, &match, now);
		break;
	case TRACK_INSERT:
		result = track_open(&match, &packet, &asked, now, 0);
		break;
	}
	burst->reversed += match.flow && match.reversed;
	track_count(burst, result);
	return TC_ACT_OK;
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
