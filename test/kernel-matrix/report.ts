/** The result of one check in the test machine, printed as a line. */
export interface CheckResult {
  name: string;
  passed: boolean;
  /** The observed values, or the error with the verifier's log. */
  detail: string;
}

/** Runs a check inside the test machine and prints its result with the returned text; never throws. */
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

/** An error with its details: the verifier's log, or a program's output. */
function explain(error: unknown): string {
  const { log, stdout, stderr } = error as { log?: unknown; stdout?: unknown; stderr?: unknown };
  return [error, log, stdout, stderr]
    .filter((part) => part !== undefined && part !== "")
    .map(String)
    .join("\n");
}

/** The checks that a script printed, by name; other lines are ignored. */
export function checks(output: string): Map<string, CheckResult> {
  const lines = output.split("\n").filter((line) => line.startsWith('{"name":'));
  const results = lines.map((line) => JSON.parse(line) as CheckResult);
  return new Map(results.map((result) => [result.name, result]));
}
