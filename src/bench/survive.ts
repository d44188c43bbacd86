import type { BenchContext } from "./context.ts";
import { LOAD_PODS, losses, type Round, underLoad } from "./continuity.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";

const LOAD = { packets: 10_000, rate: 200e6 };

/** Kills agents with -9 under load, in turn, and waits each time until the next one is ready. */
export async function survive(context: BenchContext): Promise<readonly Finding[]> {
  const { quick, say } = context;
  const wanted = quick ? 10 : 100;
  const stage = await Stage.up({ ...context, nodes: 2, overlay: "direct", pods: LOAD_PODS });
  const rounds: Round[] = [];
  const writes: number[] = [];
  let kills = 0;
  try {
    const baseline = await underLoad(stage, { ...LOAD, seconds: 15 }, () => pause(500));
    for (; kills < wanted; ) {
      const round = await underLoad(stage, { ...LOAD, seconds: 20 }, async () => {
        writes.push(await restart(stage, `node-${(kills++ % 2) + 1}`));
      });
      rounds.push(round);
      say(`${kills} of ${wanted} kills; ${losses(round).join(", ") || "nothing lost"}`);
    }
    const findings = judgeRounds(rounds, baseline, kills, writes);
    const samples = { baseline, rounds, writes };
    await publish({ name: "survive", title: "Agents killed under load", findings, samples }, context);
    return findings;
  } finally {
    await stage.down();
  }
}

/** Kills one agent and waits for the next. Returns the number of writes of the new agent until it was ready. */
export async function restart(stage: Stage, node: string): Promise<number> {
  const old = await stage.killAgent(node);
  await stage.awaitAgent(node, old);
  return (await stage.status(node)).observed.writes;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function judgeRounds(rounds: readonly Round[], baseline: Round, kills: number, writes: readonly number[]): Finding[] {
  const total = (field: keyof Round): number => rounds.reduce((sum, round) => sum + (round[field] ?? 0), 0);
  const lost = total("udpSent") - total("udpArrived");
  const highest = Math.max(...writes);
  const again = `${total("tcpRetransmitted")} in ${rounds.length} rounds (${baseline.tcpRetransmitted} in one without)`;
  return [
    judge(`datagrams lost, ${kills} kills`, `${lost} of ${total("udpSent")}`, "0", lost === 0),
    judge("connections reset", String(total("tcpResets")), "0", total("tcpResets") === 0),
    judge("bytes of TCP lost", String(total("tcpOctetsLost")), "0", total("tcpOctetsLost") === 0),
    { what: "TCP segments sent again", measured: again, target: "–", verdict: "shown" },
    judge("rows written by a restart that changes nothing, highest", String(highest), "0", highest === 0),
  ];
}
