import { type PodSpec, podObject, trafficCommands } from "../../src/bench/pods.ts";

/** A file that would exist if a shell had run a value. */
export const MARK = `/tmp/weir-hostile-${process.pid}`;

/** Values of rules that must be refused, by their defect. */
export const VALUES: Readonly<Record<string, string>> = {
  "command substitution": `$(touch ${MARK}) mbps egress`,
  backticks: `10 mbps \`touch ${MARK}\``,
  "a second command": `10 mbps egress && touch ${MARK}`,
  "a second line": `10 mbps egress\ntouch ${MARK}`,
  "a carriage return": "10 mbps\regress",
  NUL: "10 mbps egress\0",
  "escape sequences": "\u001b[2J\u001b[31m10 mbps egress",
  "digits of another script": "１０ mbps egress",
  "a minus": "-10 mbps egress",
  "not a number": "NaN mbps egress",
  infinity: "Infinity mbps egress",
  "beyond every number": `${"9".repeat(4000)} mbps egress`,
  exponent: "1e309 mbps egress",
  zero: "0 mbps egress",
  "a fraction": "1.5 mbps egress",
  "another base": "0x10 mbps egress",
  "an unknown unit": "10 parsecs egress",
  "an unknown direction": "10 mbps sideways",
  "a prototype": "__proto__ constructor toString",
  "right-to-left": "\u202e10 mbps egress",
  emoji: "🌊 mbps egress",
  "60 kB": "x".repeat(60_000),
  nothing: "",
};

/** Names that Kubernetes does not allow. */
export const NAMES: Readonly<Record<string, string>> = {
  "a path upward": "../../../../tmp/x",
  "an option": "-rf",
  "a command": `a;touch ${MARK}`,
  substitution: `$(touch ${MARK})`,
  newline: "a\nb",
  NUL: "a\0b",
  space: "a b",
  slash: "a/b",
  "capital letters": "Shop",
  unicode: "wëir",
  "too long": "a".repeat(300),
  nothing: "",
  dots: "..",
};

const victim: PodSpec = { name: "victim", node: "node-1", commands: trafficCommands(0) };

/** The test's pod with a rule's annotation. */
export function withAnnotation(key: string, value: string): object {
  return podObject({ ...victim, annotations: { [key]: value } });
}

/** The test's pod with the label of a limit. */
export function withRate(value: string): object {
  return podObject({ ...victim, labels: { rate: value } });
}

export function named(name: string): object {
  return podObject({ ...victim, name });
}

export function inNamespace(namespace: string): object {
  return podObject({ ...victim, name: "visitor", namespace });
}

/** Texts that are not manifests, and the expected error messages. */
export const TEXTS: Readonly<Record<string, readonly [text: string, reason: RegExp]>> = {
  "no YAML": ["{ this: [is: not", /./],
  "a list": ["- 1\n- 2\n", /./],
  "a number": ["42\n", /./],
  "no kind": ["metadata: { name: x }\n", /kind/i],
  "an alias bomb": [bomb(), /alias|too/i],
  "containers that are text": [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: odd }\nspec: { containers: rm -rf }\n",
    /containers/,
  ],
  "a command that is a map": [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: odd }\nspec: { containers: [{ name: a, command: { a: b } }] }\n",
    /command/,
  ],
  "annotations that are a list": [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: odd, annotations: [a] }\nspec: { containers: [{ name: a, command: [sleep, '9'] }] }\n",
    /annotations/,
  ],
  "a pod for a node that is not there": [
    "apiVersion: v1\nkind: Pod\nmetadata: { name: odd }\nspec: { nodeName: '../node-1', containers: [{ name: a, command: [sleep, '9'] }] }\n",
    /node/i,
  ],
};

/** Nine levels of nine aliases: a billion nodes if they are expanded. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(", ")}]`);
  return `l0: &l0 [x, x, x, x, x, x, x, x, x]\n${levels.join("\n")}\nkind: Pod\n`;
}
