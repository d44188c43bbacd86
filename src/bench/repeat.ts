import { inNamespace } from "../kernel/index.ts";
import { binomialInterval, binomialTest } from "../model/statistics.ts";
import type { BenchContext } from "./context.ts";
import { withHops } from "./cost.ts";
import { manifest } from "./loss-case.ts";
import { type Finding, judge, publish } from "./report.ts";
import { Stage } from "./stage.ts";

const PROBABILITY = 1e-5;
const UNLIKELY = 1e-4;
const PORT = 7009;
/** Runs in one system call, which cannot be interrupted. */
const CHUNK = 1_000_000;
/** Number of chunks of the program for each chunk of an empty one. */
const OURS = 5;
/** State of a packet that has returned from the splitting pair, `WEIR_META_RESUMED`, in the second generation. */
const RESUMED = 0x1000;
const SECOND_GENERATION = 0x40000000;

interface Receipt {
  source: string;
  packets: number;
  lost: number;
}

/** A rare loss over 10⁸ runs of its program in BPF_PROG_TEST_RUN, and the cost of a run compared with an empty function. */
export async function repeat(context: BenchContext): Promise<readonly Finding[]> {
  const { say } = context;
  const times = Math.ceil((context.packets ?? (context.quick ? 1e6 : 1e8)) / CHUNK) * CHUNK;
  const pods = ["a", "b"].map((name) => ({ name, node: "node-1" }));
  const stage = await Stage.up({ ...context, nodes: 1, pods });
  try {
    const rule = JSON.parse(
      manifest({ loss: { model: "uniform", probability: PROBABILITY }, direction: "egress" }, "a", PORT),
    );
    // the agent, which would renew a shorter lease, is stopped meanwhile
    await stage.applyText(JSON.stringify({ ...rule, spec: { ...rule.spec, lease: "12h" } }));
    say(`${times} runs`);
    const cost = await runs(stage, context, times);
    const [receipt] = (await stage.get<Receipt>("impairments")).filter(({ source }) => source.endsWith("/measured"));
    if (receipt?.packets !== times) throw new Error(`count runs: ${receipt?.packets} of ${times} were met by the rule`);
    const { packets, lost } = receipt;
    const p = binomialTest(lost, packets, PROBABILITY);
    const [low, high] = binomialInterval(lost, packets);
    const measured = `${lost} of ${packets} (95 %: ${percent(low)} to ${percent(high)}), p = ${p.toPrecision(4)}`;
    const ns = `${cost.impair.toFixed(0)} ns; of an empty function ${cost.empty.toFixed(0)} ns`;
    const findings: Finding[] = [
      judge("0.001 % uniform", measured, `0.001 %, p > ${UNLIKELY}`, p > UNLIKELY),
      { what: "a run of impair, with the drop behind it", measured: ns, target: "–", verdict: "shown" },
    ];
    const samples = { packets, lost, low, high, p, ns: cost };
    await publish({ name: "repeat", title: "A rare loss, run by run", findings, samples }, context);
    return findings;
  } finally {
    await stage.down();
  }
}

/** Runs the program and, alternately, an empty one in its place. Mean ns of a run. */
async function runs(stage: Stage, context: BenchContext, times: number): Promise<{ impair: number; empty: number }> {
  const cost = { impair: 0, empty: 0 };
  await withHops(stage, context, async (hops, { first, chain }) => {
    const [rule] = chain;
    if (!rule || chain.length !== 2)
      throw new Error(`find the rule in pod a's chain: it has ${chain.length} functions`);
    hops.detour(first, [rule, { ...rule, op: 0 }]);
    const state = RESUMED | (hops.generation ? SECOND_GENERATION : 0);
    const packet = { data: datagram(), ctx: { cb: [hops.spare, rule.instance, state, 0, 0] }, repeat: CHUNK };
    const netns = stage.nodeNetns("node-1");
    const program = hops.open("weir_impair");
    let empties = 0;
    for (let done = 0; done < times; done += CHUNK) {
      cost.impair += inNamespace(netns, () => program.testRun(packet).durationNs) * (CHUNK / times);
      if ((done / CHUNK) % OURS === 0) {
        cost.empty += inNamespace(netns, () => hops.pass.testRun(packet).durationNs);
        empties++;
      }
      await new Promise(setImmediate);
      context.signal.throwIfAborted();
    }
    cost.empty /= empties;
  });
  return cost;
}

/** An IPv4 datagram for the rule's port, 64 bytes with its Ethernet header. */
function datagram(): Buffer {
  const frame = Buffer.alloc(64);
  frame.write("0800", 12, "hex");
  frame.write("4500003200000000401100000af4010a0af4010b", 14, "hex");
  frame.writeUInt16BE(40_000, 34);
  frame.writeUInt16BE(PORT, 36);
  frame.writeUInt16BE(30, 38);
  return frame;
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;
