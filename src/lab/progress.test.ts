import { describe, expect, it } from "vitest";
import { Progress, type Step } from "./progress.ts";

const steps: Step[] = [
  { state: "start", text: "agents" },
  { state: "warning", text: "slow" },
  { state: "done", text: "agents up" },
  { state: "start", text: "pods" },
];
function shown(isTTY: boolean): string {
  let text = "";
  const progress = new Progress({ isTTY, write: (more) => (text += more) });
  for (const step of steps) progress.report(step);
  progress.close();
  return text;
}

describe("Progress", () => {
  it("writes plain lines without a terminal", () => {
    expect(shown(false)).toBe("! slow\n✔ agents up\n");
  });
  it("shows the current step on a terminal, and clears it", () => {
    const text = shown(true);
    expect(text).toContain("agents");
    expect(text).toContain("pods");
    expect(text.endsWith("\r\u001b[2K")).toBe(true);
  });
});
