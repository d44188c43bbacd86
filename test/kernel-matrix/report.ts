/** One line that a script in the test machine prints. */
export interface CheckResult {
  name: string;
  passed: boolean;
  /** What was seen, or the error with the verifier's log. */
  detail: string;
}

/** Runs a check inside the test machine and prints its result, with the text that it gives; never throws. */
export function check(name: string, run: () => unknown): void {
  let result: CheckResult;
  try {
    const detail = run();
    result = { name, passed: true, detail: typeof detail === "string" ? detail : "" };
  } catch (error) {
    result = { name, passed: false, detail: explain(error) };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** An error with what it carries: the verifier's log, or what a program printed. */
function explain(error: unknown): string {
  const { log, stdout, stderr } = error as { log?: unknown; stdout?: unknown; stderr?: unknown };
  return [error, log, stdout, stderr]
    .filter((part) => part !== undefined && part !== "")
    .map(String)
    .join("\n");
}

/** The checks that a script printed, by name; other lines are left out. */
export function checks(output: string): Map<string, CheckResult> {
  const lines = output.split("\n").filter((line) => line.startsWith('{"name":'));
  const results = lines.map((line) => JSON.parse(line) as CheckResult);
  return new Map(results.map((result) => [result.name, result]));
}
