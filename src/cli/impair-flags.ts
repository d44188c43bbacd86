import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";
import { parseRate } from "../model/bandwidth.ts";
import type { ImpairmentSpec, LossSpec, PortSpec } from "../model/rule-objects.ts";
import type { Result } from "../model/text.ts";
import { quote } from "../model/text.ts";
import { parseDuration, parsePercent } from "../model/units.ts";

/** Flags of `weir impair` for effects and matched packets. */
export interface EffectFlags {
  direction: "ingress" | "egress" | "both";
  loss?: LossSpec | undefined;
  duplicate?: string | undefined;
  corrupt?: string | undefined;
  reorder?: string | undefined;
  delay?: string | undefined;
  jitter?: string | undefined;
  pace?: string | undefined;
  seed?: number | undefined;
  peer?: readonly string[] | undefined;
  port?: readonly PortSpec[] | undefined;
  lease?: string | undefined;
  override?: boolean | undefined;
}

function checked<T>(parse: (text: string) => Result<T>): (text: string) => string {
  return (text) => {
    const result = parse(text);
    if (!result.ok) throw new InvalidArgumentError(result.reason);
    return text;
  };
}

export const percent = checked(parsePercent);
export const rate = checked(parseRate);
/** @param example a typical value of the flag */
export const time = (example: string) => checked((text) => parseDuration(text, example));

/** `2%`, `exponential 300`, `burst p=1% r=20% good=0% bad=100%`. */
export function loss(text: string): LossSpec {
  const [model, ...words] = text.trim().split(/\s+/);
  if (model === "exponential" && /^\d{1,4}$/.test(words[0] ?? "") && words.length === 1) {
    return { exponential: { threshold: Number(words[0]) } };
  }
  if (model === "burst") return { burst: burst(words) };
  if (model === "uniform" && words.length === 1) return percent(words[0] ?? "");
  if (model === "uniform" || model === "exponential") {
    const form = model === "uniform" ? "2%" : "exponential 300";
    throw new InvalidArgumentError(`Write ${quote(form)}: ${model} has one number and nothing else.`);
  }
  return percent(text.trim());
}

const PARTS: Readonly<Record<string, "p" | "r" | "lossGood" | "lossBad">> = {
  p: "p",
  r: "r",
  good: "lossGood",
  bad: "lossBad",
};

function burst(words: readonly string[]) {
  const parts: Partial<Record<"p" | "r" | "lossGood" | "lossBad", string>> = {};
  for (const word of words) {
    const [name = "", value = ""] = word.split("=", 2);
    const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
    if (!part) throw new InvalidArgumentError('Write "burst p=1% r=20%", with good=0% bad=100% if need be.');
    parts[part] = percent(value);
  }
  const { p, r, ...rest } = parts;
  if (p === undefined || r === undefined) throw new InvalidArgumentError('Write "burst p=1% r=20%": both are needed.');
  return { p, r, ...rest };
}

/** `53/UDP`, `8000-8100/TCP`, `443` (TCP), `ICMP`; several times. */
export function port(text: string, before: readonly PortSpec[] = []): PortSpec[] {
  const match = /^(?:(\d{1,5})(?:-(\d{1,5}))?(?:\/|$))?(TCP|UDP|SCTP|ICMP)?$/i.exec(text);
  const [, first, last, word] = match ?? [];
  const protocol = (word?.toUpperCase() ?? "TCP") as PortSpec["protocol"];
  if (!match || text === "" || text.endsWith("/") || (protocol === "ICMP" && first)) {
    throw new InvalidArgumentError(`Write a port such as 53/UDP, 8000-8100/TCP, or ICMP.${meantPort(text)}`);
  }
  return [...before, { protocol, ...(first && { port: Number(first) }), ...(last && { endPort: Number(last) }) }];
}

/** `udp/53`, `53:udp`, `8000:8100` */
function meantPort(text: string): string {
  const [word] = /tcp|udp|sctp|icmp/i.exec(text) ?? [];
  const [first, last, ...more] = text.match(/\d{1,5}/g) ?? [];
  const isGuess = text.length <= 32 && first !== undefined && more.length === 0 && word?.toUpperCase() !== "ICMP";
  if (!isGuess) return "";
  return ` Did you mean ${first}${last ? `-${last}` : ""}/${word?.toUpperCase() ?? "TCP"}?`;
}

/** A network, or one address. Checked without the model's arithmetic, whose library no start of `weir` should load. */
export function peer(text: string, before: readonly string[] = []): string[] {
  const [address = "", bits, ...rest] = text.split("/");
  const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  const length = bits ?? String(most);
  if (rest.length > 0 || !/^\d{1,3}$/.test(length) || Number(length) > most) {
    throw new InvalidArgumentError("Write a network such as 10.0.0.0/8 or fd00::/8, or an address.");
  }
  return [...before, `${address}/${length}`];
}

export function seed(text: string): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value <= 4_294_967_295) return value;
  throw new InvalidArgumentError(`${quote(text)} is no seed. Write a whole number from 0 to 4294967295.`);
}

/** The flag of a field of the spec. */
export function flagOf(path: string): string {
  const [, peers, ports, jitter, name] =
    /^spec\.(?:(match\.peers)|(match\.ports)|(delay\.jitter)|(\w+))/.exec(path) ?? [];
  if (peers) return "--peer";
  if (ports) return "--port";
  return jitter ? "--jitter" : name === "until" ? "--for" : `--${name ?? path}`;
}

/** Converts the flags to an Impairment's spec. The agent refuses contradictions. */
export function specOf(flags: EffectFlags): Omit<ImpairmentSpec, "pod" | "until"> {
  const { direction, loss: lost, duplicate, corrupt, reorder, delay, jitter, pace, lease, override } = flags;
  const match = {
    ...(flags.peer && { peers: flags.peer.map((cidr) => ({ cidr })) }),
    ...(flags.port && { ports: flags.port }),
  };
  const spec = {
    direction,
    loss: lost,
    duplicate,
    corrupt,
    reorder,
    pace,
    lease,
    override,
    delay: delay === undefined ? undefined : { latency: delay, ...(jitter !== undefined && { jitter }) },
    seed: flags.seed,
    match: Object.keys(match).length > 0 ? match : undefined,
  };
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as typeof spec;
}
