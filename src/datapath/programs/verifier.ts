/** Lines with the verifier's progress: instructions, states, counts. They are never the reason. */
const WORK =
  /^(\s*$|\d+: |;|processed \d+ insns|verification time|stack depth|max_states_per_insn|-- (BEGIN|END) PROG|from \d+ to \d+|\s*R\d+(_w)?=|(old|cur) state:|frame\d+:|func#\d+ @|mark_precise|last_idx|regs=|parent |caller:|callee:|returning from callee|to caller at|propagating|Func#\d+ is|Validating |live regs|\s+R\d|\d+: \()/;
/** A jump's line may continue with a message, without a line break. */
const JUMP = /^(\d+: \([0-9a-f]{2}\) .*?goto pc[+-]\d+) (?=\S)/gm;
const LONGEST = 240;
const REASONS = 2;
/** The source position in logs since Linux 6.10. The file is standard input, as for every user's source. */
const PLACE = /^;.* @ <stdin>:([1-9]\d{0,6})$/;
const ENTRY = "Validating weir_program() ";

/** Why the verifier refuses a program, and the source line. */
export interface VerifierRefusal {
  reason: string;
  line?: number | undefined;
}

/**
 * Extracts the reason and the source line from a verifier log.
 * @param lineAt source line of an instruction, counted from the user function's first; for kernels whose logs have no
 * lines
 */
export function readRefusal(log: string, lineAt: (instruction: number) => number | undefined): VerifierRefusal {
  const lines = log.replace(JUMP, "$1\n").split("\n");
  const last = lines.findLastIndex((line) => !WORK.test(line));
  let first = last;
  while (first > 0 && last - first < REASONS - 1 && !WORK.test(lines[first - 1] ?? "")) first--;
  const reason = lines
    .slice(Math.max(first, 0), last + 1)
    .map((line) => line.trim())
    .join("; ")
    .slice(0, LONGEST)
    .replace(/[^\x20-\x7e]/g, "?");
  const work = lines.slice(0, Math.max(first, 0));
  return { reason: reason || "no reason given", line: placeIn(work) ?? lineOf(work, reason, lineAt) };
}

const placeIn = (work: readonly string[]): number | undefined => {
  const place = work.findLast((line) => PLACE.test(line));
  return place === undefined ? undefined : Number(PLACE.exec(place)?.[1]);
};

/** The line of the last instruction in the log. The user's function begins where its validation does. */
function lineOf(
  work: readonly string[],
  reason: string,
  lineAt: (instruction: number) => number | undefined,
): number | undefined {
  const start = work.findLastIndex((line) => line.startsWith(ENTRY));
  const numbers = work.slice(start + 1).flatMap((line) => /^(\d+): /.exec(line)?.[1] ?? []);
  const at = /\bat insn (\d+)/.exec(reason)?.[1] ?? numbers.at(-1);
  if (start < 0 || numbers[0] === undefined || at === undefined) return undefined;
  return lineAt(Number(at) - Number(numbers[0]));
}
