export { attachDevice, openBpfLink } from "./attach.ts";
export type { BpfLink, Direction } from "./bpf-link.ts";
export { Btf, type BtfType, enumNames } from "./btf.ts";
export { type Carrier, carrier, isSameType, type TypeIn } from "./carry.ts";
export {
  cgroupId,
  cgroupMounts,
  cgroupProcesses,
  cgroupRoot,
  createCgroup,
  killCgroup,
  moveToCgroup,
  removeCgroup,
} from "./cgroup.ts";
export { attachClsact, ClsactLink } from "./clsact.ts";
export { type Codec, codec, type Decoded, type FieldValue } from "./codec.ts";
export { Arrivals, Batch, DatagramSocket, wallClock } from "./datagram.ts";
export { errnoName, KernelError, VerifierError } from "./errors.ts";
export { waitForPrograms } from "./grace.ts";
export { trimHeap } from "./heap.ts";
export { linkObjects } from "./linker.ts";
export { type Lock, lockPath } from "./lock.ts";
export { BpfMap, type MapType, possibleCpus, UPDATE } from "./map.ts";
export { mapSchema } from "./map-schema.ts";
export { deviceOf, mountView, outlivesUs } from "./mounts.ts";
export {
  createNamespace,
  inNamespace,
  isNamespace,
  isOwnNamespace,
  maybeInNamespace,
  namespaceFault,
  namespacePath,
  removeNamespace,
} from "./namespace.ts";
export { deviceFeatures, type Feature, hasOffloads, type Offloads, setOffloads } from "./netlink/ethtool.ts";
export { type AddressInfo, type AddressOptions, addAddress, addresses, removeAddress } from "./netlink/ifaddr.ts";
export {
  createLink,
  createVeth,
  createVxlan,
  type DeviceInfo,
  type DeviceSettings,
  findLink,
  ifindexOf,
  links,
  namespaceNumber,
  removeLink,
  setLink,
  type VethSpec,
  type VxlanSpec,
} from "./netlink/link.ts";
export { type NetworkNews, watchNetwork } from "./netlink/news.ts";
export {
  addNeighbour,
  addRoute,
  defaultRoute,
  type NeighbourInfo,
  type NeighbourSpec,
  neighbours,
  type RouteInfo,
  type RouteSpec,
  removeNeighbour,
  removeRoute,
  routes,
  WEIR_ROUTE_PROTOCOL,
} from "./netlink/route.ts";
export { type At, Netlink } from "./netlink/socket.ts";
export {
  type ClassInfo,
  changeTc,
  classBacklogs,
  classes,
  formatHandle,
  type HtbClass,
  type HtbRate,
  handle,
  htbRates,
  type QdiscInfo,
  qdiscs,
  TC_ROOT,
  type TcChange,
  TcError,
  type TcStats,
} from "./netlink/tc.ts";
export { acceptsVni, allowVni } from "./netlink/vni.ts";
export {
  BpfObject,
  inspectDefinitions,
  inspectObject,
  type LoadOptions,
  loadObject,
  type MapDefinition,
  type ObjectSpec,
} from "./object.ts";
export { isBpffs, mountBpffs, unmountBpffs } from "./pin.ts";
export { type CgroupDriver, findPodCgroup, type PodCgroup, type PodQos, podCgroupCandidates } from "./pod-cgroup.ts";
export { atLeast, type Examination, examine, hasQdisc, type Probe, type ProbeResult, runProbes } from "./probes.ts";
export { Program, type TestRun, type TestRunResult } from "./program.ts";
export { RingBuffer } from "./ringbuf.ts";
export type { SkbCtx } from "./skb.ts";
export { enableStatistics, type RunStatistics, runStatistics } from "./statistics.ts";
export { steerFlows } from "./steering.ts";
export { openStream } from "./stream.ts";
export { readSysctl, writeSysctl } from "./sysctl.ts";
export { attachTcx, TcxLink, tcxSupported } from "./tcx.ts";
