/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A packet of a known flow: updates the flow's state and expiry. Part of flow.h. */
#pragma once
#include "flow.h"
#include "flow_packet.h"

#define WEIR_FLOW_SLACK WEIR_FLOW_SECONDS(8) /* a row's expiry is written when it moves by this, or by 1/16 of its timeout */
#define WEIR_FLOW_MOVES 4 /* CPUs that may change the state of one flow at the same time */

/* weir_flow_see(): the connection has ended, and this is the first packet of a new one, which must be opened */
#define WEIR_FLOW_AGAIN (-1)

/* State and ends in weir_flow.life, above the stamp. */
#define WEIR_FLOW_LIFE_STATE(life) ((__u8)((life) >> 32))
#define WEIR_FLOW_LIFE_ENDS(life) ((__u8)((life) >> 40))
#define WEIR_FLOW_LIFE(life, state, ends) (((life) & ~0xffff00000000ULL) | (__u64)(__u8)(state) << 32 | (__u64)(ends) << 40)
_Static_assert(__builtin_offsetof(struct weir_flow, state) == __builtin_offsetof(struct weir_flow, life) + 4, "shifts");
_Static_assert(__builtin_offsetof(struct weir_flow, ends) == __builtin_offsetof(struct weir_flow, life) + 5, "shifts");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "shifts");

WEIR_INLINE __u32 weir_flow_timeout(const struct weir_flow_config *config, __u8 state)
{
	return config->timeout[state & (WEIR_FLOW_STATES - 1)];
}

/* The state of a flow after its first packet. */
WEIR_INLINE __u8 weir_flow_first_state(const struct weir_flow_packet *packet)
{
	switch (packet->tuple.protocol) {
	case IPPROTO_TCP:
		return packet->flags & WEIR_TCP_RST ? WEIR_FLOW_TCP_RESET : WEIR_FLOW_TCP_NEW;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return WEIR_FLOW_UDP_NEW;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return WEIR_FLOW_ICMP_ECHO;
	}
	return WEIR_FLOW_OTHER_NEW;
}

/*
 * Whether the peer would accept a FIN or RST with this sequence number. A blind attacker must guess the window;
 * a packet outside of it does not change the flow. If a side's SYN was not seen, its packets are accepted,
 * except that a RST in reply to a SYN must acknowledge it. The recorded window may lag by a quarter, and may be
 * a quarter too small.
 */
WEIR_INLINE int weir_flow_in_window(const struct weir_flow *flow, const struct weir_flow_packet *packet, int side,
				    __u8 state)
{
	union weir_flow_side own = { flow->side[side].word }, other = { flow->side[!side].word };
	__u32 ahead = packet->seq - own.next + 1; /* one behind: a keep-alive */

	if (own.word)
		return ahead <= own.window + (own.window >> 1) + 2;
	if (state == WEIR_FLOW_TCP_NEW && other.word)
		return packet->flags & WEIR_TCP_ACK && packet->ack == other.next;
	return 1;
}

/* Records the initial sequence number of a SYN. A SYN within an open connection is ignored. */
WEIR_INLINE void weir_flow_note_syn(struct weir_flow *flow, const struct weir_flow_packet *packet, int side, __u8 state)
{
	union weir_flow_side own = { .next = packet->seq + 1, .window = 65535 }, peer = { flow->side[!side].word };

	if (state != WEIR_FLOW_TCP_NEW && state != WEIR_FLOW_TCP_REPLIED)
		return;
	if (packet->flags & WEIR_TCP_ACK) {
		if (!peer.word || packet->ack != peer.next)
			return;
		peer.window = packet->window;
		flow->side[!side].word = peer.word;
	}
	flow->side[side].word = own.word;
	flow->scale[side] = packet->scale;
}

/* Records the peer's window from an acknowledgement; written when it moves by a quarter of a window. */
WEIR_INLINE void weir_flow_note_ack(struct weir_flow *flow, const struct weir_flow_packet *packet, int side, __u8 state)
{
	union weir_flow_side was = { flow->side[!side].word }, is;
	__s32 moved;

	is.next = packet->ack;
	is.window = (__u32)packet->window << (flow->scale[side] & 15);
	moved = is.next - was.next;
	if (!was.word || moved < 0)
		return;
	if (moved <= (__s32)(was.window >> 2) && is.window <= was.window + (was.window >> 2))
		return;
	if (weir_flow_in_window(flow, packet, side, state))
		flow->side[!side].word = is.word;
}

/* The state of a connection that was reset and continues. */
WEIR_INLINE int weir_flow_open_state(__u8 ends, __u8 state)
{
	if (ends & (WEIR_FLOW_RST(0) | WEIR_FLOW_RST(1)))
		return state;
	return (ends & 3) == 3 ? WEIR_FLOW_TCP_CLOSED : ends & 3 ? WEIR_FLOW_TCP_HALF_CLOSED : WEIR_FLOW_TCP_ESTABLISHED;
}

/*
 * The TCP state after a packet of this side; sets the bits of *ends. WEIR_FLOW_AGAIN: the packet belongs to a
 * new connection.
 */
WEIR_INLINE int weir_flow_tcp_state(struct weir_flow *flow, const struct weir_flow_packet *packet, int side, __u8 state,
				    __u8 *ends)
{
	int closed = state == WEIR_FLOW_TCP_CLOSED || state == WEIR_FLOW_TCP_RESET;

	if (packet->flags & WEIR_TCP_SYN) {
		if (closed && !(packet->flags & (WEIR_TCP_ACK | WEIR_TCP_RST)))
			return WEIR_FLOW_AGAIN;
		weir_flow_note_syn(flow, packet, side, state);
		return state == WEIR_FLOW_TCP_NEW && side ? WEIR_FLOW_TCP_REPLIED : state;
	}
	if (weir_unlikely(packet->flags & (WEIR_TCP_FIN | WEIR_TCP_RST)) && weir_flow_in_window(flow, packet, side, state)) {
		*ends |= packet->flags & WEIR_TCP_RST ? WEIR_FLOW_RST(side) : WEIR_FLOW_FIN(side);
		if (*ends & (WEIR_FLOW_RST(0) | WEIR_FLOW_RST(1)))
			return WEIR_FLOW_TCP_RESET;
		return (*ends & 3) == 3 ? WEIR_FLOW_TCP_CLOSED : WEIR_FLOW_TCP_HALF_CLOSED;
	}
	if (packet->flags & WEIR_TCP_ACK)
		weir_flow_note_ack(flow, packet, side, state);
	/* an end that continues has refused the RST (RFC 5961), or is reset again */
	if (weir_unlikely(state == WEIR_FLOW_TCP_RESET && *ends & WEIR_FLOW_RST(!side))) {
		*ends &= ~WEIR_FLOW_RST(!side);
		return weir_flow_open_state(*ends, state);
	}
	if (side && state == WEIR_FLOW_TCP_NEW)
		return WEIR_FLOW_TCP_REPLIED;
	if (!side && state == WEIR_FLOW_TCP_REPLIED)
		return WEIR_FLOW_TCP_ESTABLISHED;
	return state;
}

/* The state of other protocols: whether both sides have sent. */
WEIR_INLINE int weir_flow_plain_state(__u8 state, int side)
{
	if (side && state == WEIR_FLOW_UDP_NEW)
		return WEIR_FLOW_UDP_ESTABLISHED;
	if (side && state == WEIR_FLOW_OTHER_NEW)
		return WEIR_FLOW_OTHER_ESTABLISHED;
	return state;
}

/*
 * Changes a row's expiry, unless the row was reused or another CPU has changed the expiry since `was` was read.
 */
WEIR_INLINE void weir_flow_extend(const struct weir_flow_match *match, __u32 expires)
{
	__u32 *end = &match->bucket->expires[weir_flow_way(match->place)], was = *(volatile __u32 *)end;

	barrier();
	if (weir_flow_stamp(match->flow) == match->stamp)
		__sync_val_compare_and_swap(end, was, expires);
}

/* Changes the expiry of a flow and of its alias, which must not expire first. */
WEIR_INLINE void weir_flow_renew(const struct weir_flow_match *match, __u32 expires)
{
	__u64 twin = *(volatile __u64 *)&match->flow->twin;
	struct weir_flow_match alias;

	weir_flow_extend(match, expires);
	if (twin && !weir_flow_follow(twin, &alias))
		weir_flow_extend(&alias, expires);
}

/* The state after a packet of the flow, and its ends. Negative: WEIR_FLOW_AGAIN. */
WEIR_INLINE int weir_flow_next(struct weir_flow *flow, const struct weir_flow_packet *packet, int side, __u8 state,
			       __u8 *ends)
{
	if (packet->tuple.protocol == IPPROTO_TCP && packet->part != WEIR_FLOW_LATER)
		return weir_flow_tcp_state(flow, packet, side, state, ends);
	return weir_flow_plain_state(state, side);
}

/*
 * Changes the state again, after another CPU has changed it. Returns the state, or WEIR_FLOW_AGAIN. A function of its
 * own, since its registers would cost weir_flow_see() stack.
 */
static __noinline int weir_flow_move_again(__u64 twin, const struct weir_flow_packet *packet, int side)
{
	struct weir_flow_match match;
	int state = WEIR_FLOW_NONE;
	struct weir_flow *flow;
	__u64 was;

	if (weir_flow_follow(twin, &match))
		return state;
	flow = match.flow;
	was = *(volatile __u64 *)&flow->life;
	state = WEIR_FLOW_LIFE_STATE(was);
#pragma clang loop unroll(disable)
	for (int tries = 0; tries < WEIR_FLOW_MOVES && (__u32)was == match.stamp; tries++) {
		__u8 ends = WEIR_FLOW_LIFE_ENDS(was);
		__u64 is;

		state = weir_flow_next(flow, packet, side & 1, WEIR_FLOW_LIFE_STATE(was), &ends);
		if (state < 0)
			return state;
		is = WEIR_FLOW_LIFE(was, state, ends);
		if (is == was)
			return state;
		is = __sync_val_compare_and_swap(&flow->life, was, is);
		if (is == was)
			return state;
		was = is;
	}
	return state;
}

/*
 * Handles a packet of a flow found by weir_flow_find(): updates state and expiry. Returns the state, or
 * WEIR_FLOW_AGAIN. Only writes on a change of state, once in 8 s, and once per quarter of a TCP window. If two CPUs
 * change the state at the same time, the second continues from the first's. An ICMP error about the flow changes
 * nothing.
 */
WEIR_INLINE int weir_flow_see(struct weir_flow_match *match, const struct weir_flow_packet *packet, __u32 now)
{
	const struct weir_flow_config *config = weir_flow_configuration();
	struct weir_flow *flow = match->flow;
	__u64 was = *(volatile __u64 *)&flow->life, is;
	__u8 ends = WEIR_FLOW_LIFE_ENDS(was);
	__u32 expires, timeout, slack;
	int state = WEIR_FLOW_LIFE_STATE(was);

	if ((__u32)was != match->stamp || packet->error || !config)
		return state;
	state = weir_flow_next(flow, packet, match->reversed, state, &ends);
	if (state < 0)
		return state;
	is = WEIR_FLOW_LIFE(was, state, ends);
	if (weir_unlikely(is != was) && __sync_val_compare_and_swap(&flow->life, was, is) != was) {
		state = weir_flow_move_again(weir_flow_twin(match->place, match->stamp), packet, match->reversed);
		if (state < 0)
			return state;
	}
	timeout = weir_flow_timeout(config, state);
	slack = timeout >> 4 < WEIR_FLOW_SLACK ? timeout >> 4 : WEIR_FLOW_SLACK;
	expires = now + timeout;
	/* too early or, after a race of two CPUs, too late */
	if (expires - match->bucket->expires[weir_flow_way(match->place)] + slack > 2 * slack ||
	    weir_unlikely(state != WEIR_FLOW_LIFE_STATE(was)))
		weir_flow_renew(match, expires);
	return state;
}

/* Reads the verdict kept by weir_flow_judge(). Returns 0, or -1: there is none of this revision. */
WEIR_INLINE int weir_flow_verdict(const struct weir_flow_match *match, __u32 revision, __u16 *verdict)
{
	__u64 word = *(volatile __u64 *)&match->flow->verdict;

	*verdict = word >> 16;
	return word >> 32 == revision && (__u16)word == (__u16)match->stamp ? 0 : -1;
}

/*
 * Keeps a verdict with the flow, and the revision of the rules that gave it (not 0). The verdict includes the
 * flow's stamp, so that it does not apply to another flow that reuses the row.
 */
WEIR_INLINE void weir_flow_judge(struct weir_flow_match *match, __u32 revision, __u16 verdict)
{
	*(volatile __u64 *)&match->flow->verdict = (__u64)revision << 32 | (__u32)verdict << 16 | (__u16)match->stamp;
}
