/** A step of a long operation: reported by the supervisor, shown by the command. */
export interface Step {
  state: "start" | "done" | "note" | "warning" | "error";
  text: string;
}

export type Report = (step: Step) => void;

/** The output of a progress display. */
export interface ProgressOutput {
  isTTY?: boolean | undefined;
  write(text: string): unknown;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const MARKS: Readonly<Record<Step["state"], string>> = { start: "…", done: "✔", note: " ", warning: "!", error: "✖" };
const CLEAR_LINE = "\r\u001b[2K";

/**
 * Steps as lines. On a terminal the current step has a spinner and is replaced when it ends; without a terminal only
 * ends are written.
 */
export class Progress {
  readonly #out: ProgressOutput;
  #current: string | undefined;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: ProgressOutput) {
    this.#out = out;
  }

  readonly report: Report = (step) => {
    if (step.state === "start") return this.#begin(step.text);
    const current = this.#current;
    this.#pause();
    this.#out.write(`${MARKS[step.state]} ${step.text}\n`);
    if (step.state !== "done" && current !== undefined) this.#begin(current);
  };

  /** Ends the display; the current step leaves no line. */
  close(): void {
    this.#pause();
  }

  #begin(text: string): void {
    this.#pause();
    if (this.#out.isTTY !== true) return;
    this.#current = text;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 80);
    this.#timer.unref();
  }

  #draw(): void {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    this.#out.write(`${CLEAR_LINE}${FRAMES[this.#frame]} ${this.#current}`);
  }

  #pause(): void {
    clearInterval(this.#timer);
    if (this.#current !== undefined) this.#out.write(CLEAR_LINE);
    this.#current = undefined;
  }
}
