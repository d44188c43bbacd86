/** Lines in which the verifier shows its work: instructions, states, counts. None of them is a reason. */
const WORK =
  /^(\s*$|\d+: |;|processed \d+ insns|verification time|stack depth|max_states_per_insn|-- (BEGIN|END) PROG|from \d+ to \d+|\s*R\d+(_w)?=|(old|cur) state:|frame\d+:|func#\d+ @|mark_precise|last_idx|regs=|parent |caller:|callee:|returning from callee|to caller at|propagating|Func#\d+ is|Validating |live regs|\s+R\d|\d+: \()/;
/** A jump's line may go on with what was found there, without a line break. */
const JUMP = /^(\d+: \([0-9a-f]{2}\) .*?goto pc[+-]\d+) (?=\S)/gm;
const LONGEST = 240;
const REASONS = 2;

/**
 * The lines of a verifier's log that say why, the last ones, with the statement of the program that they are about where
 * the log has it.
 */
export function tellingLine(log: string): string {
  const lines = log.replace(JUMP, "$1\n").split("\n");
  const last = lines.findLastIndex((line) => !WORK.test(line));
  let first = last;
  while (first > 0 && last - first < REASONS - 1 && !WORK.test(lines[first - 1] ?? "")) first--;
  const reasons = lines.slice(Math.max(first, 0), last + 1).map((line) => line.trim());
  const source = lines.slice(0, Math.max(first, 0)).findLast((line) => line.startsWith("; "));
  const statement =
    source
      ?.slice(2)
      .replace(/ @ .*$/, "")
      .trim() ?? "";
  const where = statement === "" ? "" : ` (at "${statement.slice(0, 80)}")`;
  const reason = reasons.join("; ").slice(0, LONGEST);
  return `${reason === "" ? "no reason given" : reason}${where}`.replace(/[^\x20-\x7e]/g, "?");
}
