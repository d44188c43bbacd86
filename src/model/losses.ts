import type { Direction } from "./directions.ts";
import { isDirection, parseDirections } from "./directions.ts";
import { EXPONENTIAL, type Loss } from "./impair.ts";
import { meantLoss, orMeant } from "./meant.ts";
import { bad, good, quote, type Result } from "./text.ts";
import { readPercent } from "./units.ts";

/** A `loss` annotation's value for one direction. */
export interface ParsedLoss {
  direction: Direction;
  loss: Loss;
  configured: string;
}

const LONGEST = 256;
const HINT =
  'write "uniform <ingress|egress> <0% to 100%>" or "exponential <ingress|egress> <0 to 1000>", for example "uniform egress 2%"';

/**
 * Parses podmgr's grammar: `uniform egress 2%`, `exponential ingress 300`; two directions are separated by `;` or `,`.
 */
export function parseLoss(value: string): Result<ParsedLoss[]> {
  return parseDirections(value, { longest: LONGEST, hint: HINT }, parseOne);
}

const parseOne = (text: string): Result<ParsedLoss> => orMeant(text, readOne, meantLoss);

function readOne(text: string): Result<ParsedLoss> {
  const [model = "", direction = "", amount = "", ...rest] = text.split(/[ \t]+/);
  if (rest.length > 0 || amount === "") return bad(`${quote(text)} is not a rule; ${HINT}`);
  if (!isDirection(direction)) {
    return bad(`${quote(text)} has the direction ${quote(direction)}; ${HINT}`);
  }
  const loss = lossOf(model, amount);
  return loss.ok ? good({ direction, loss: loss.value, configured: text }) : loss;
}

function lossOf(model: string, amount: string): Result<Loss> {
  if (model === "uniform") {
    const probability = readPercent(amount);
    return probability.ok ? good({ model, probability: probability.value }) : probability;
  }
  if (model !== "exponential") return bad(`${quote(model)} is no model of loss; ${HINT}`);
  const threshold = /^\d{1,4}$/.test(amount) ? Number(amount) : Number.NaN;
  if (threshold <= EXPONENTIAL.scale) return good({ model, threshold });
  return bad(`${quote(amount)} is no threshold of 0 to ${EXPONENTIAL.scale}; ${HINT}`);
}
