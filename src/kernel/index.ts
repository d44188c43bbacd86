export { Btf, type BtfType, enumNames } from "./btf.ts";
export { attachClsact, ClsactLink } from "./clsact.ts";
export { type Codec, codec, type Decoded, type FieldValue } from "./codec.ts";
export { errnoName, KernelError, VerifierError } from "./errors.ts";
export { attachDevice, type Direction, type Link, openLink } from "./link.ts";
export { BpfMap, type MapType, possibleCpus, UPDATE } from "./map.ts";
export {
  createNamespace,
  inNamespace,
  isNamespace,
  maybeInNamespace,
  namespacePath,
  removeNamespace,
} from "./namespace.ts";
export { BpfObject, inspectObject, type LoadOptions, loadObject, type ObjectSpec } from "./object.ts";
export { isBpffs, mountBpffs } from "./pin.ts";
export { Program, type TestRun, type TestRunResult } from "./program.ts";
export { RingBuffer } from "./ringbuf.ts";
export type { SkbCtx } from "./skb.ts";
export { attachTcx, TcxLink, tcxSupported } from "./tcx.ts";
