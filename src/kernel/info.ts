import koffi, { type TypeObject } from "koffi";
import { check } from "./errors.ts";
import { bpf } from "./ffi.ts";

/** The beginnings of the kernel's info structs. The kernel fills no more than the given size. */
export const MapInfoStruct = koffi.struct({
  type: "uint32_t",
  id: "uint32_t",
  key_size: "uint32_t",
  value_size: "uint32_t",
  max_entries: "uint32_t",
  map_flags: "uint32_t",
  name: koffi.array("char", 16),
  ifindex: "uint32_t",
  btf_vmlinux_value_type_id: "uint32_t",
  netns_dev: "uint64_t",
  netns_ino: "uint64_t",
  btf_id: "uint32_t",
  btf_key_type_id: "uint32_t",
  btf_value_type_id: "uint32_t",
  pad: "uint32_t",
});
export const ProgramInfoStruct = koffi.struct({
  type: "uint32_t",
  id: "uint32_t",
  tag: koffi.array("uint8_t", 8),
  jited_prog_len: "uint32_t",
  xlated_prog_len: "uint32_t",
  jited_prog_insns: "uint64_t",
  xlated_prog_insns: "uint64_t",
  load_time: "uint64_t",
  created_by_uid: "uint32_t",
  nr_map_ids: "uint32_t",
  map_ids: "uint64_t",
  name: koffi.array("char", 16),
  ifindex: "uint32_t",
  gpl_compatible: "uint32_t",
  netns_dev: "uint64_t",
  netns_ino: "uint64_t",
  ksyms: koffi.array("uint32_t", 2), // count, then pointer to addresses of JIT-compiled functions
  ksym_addresses: koffi.array("uint64_t", 2),
  btf_id: "uint32_t",
  func_info_rec_size: "uint32_t",
  func_info: "uint64_t",
  nr_func_info: "uint32_t",
  nr_line_info: "uint32_t",
  line_info: koffi.array("uint64_t", 2),
  line_info_sizes: koffi.array("uint32_t", 4),
  prog_tags: "uint64_t",
  run_time_ns: "uint64_t",
  run_cnt: "uint64_t",
});
export const LinkInfoStruct = koffi.struct({
  type: "uint32_t",
  id: "uint32_t",
  prog_id: "uint32_t",
  pad: "uint32_t",
  ifindex: "uint32_t",
  attach_type: "uint32_t",
});

export interface MapInfo {
  type: number;
  id: number;
  key_size: number;
  value_size: number;
  max_entries: number;
  map_flags: number;
  name: string;
  /** BTF of the map's types; 0: none. */
  btf_id: number;
  btf_key_type_id: number;
  btf_value_type_id: number;
}
export interface ProgramInfo {
  type: number;
  id: number;
  name: string;
  /** Counted while statistics are enabled. */
  run_time_ns: number | bigint;
  run_cnt: number | bigint;
}
export interface LinkInfo {
  type: number;
  id: number;
  prog_id: number;
  /** For a tcx link; 0 once its device is gone. */
  ifindex: number;
  attach_type: number;
}

function info<T>(fd: number, struct: TypeObject, what: string): T {
  const bytes = Buffer.alloc(koffi.sizeof(struct));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  const result = bpf.bpf_obj_get_info_by_fd(fd, bytes, length) as number;
  check(result, `read the kernel's information on ${what}`, "info-failed");
  return koffi.decode(bytes, struct) as T;
}

export const mapInfo = (fd: number): MapInfo => info(fd, MapInfoStruct, "a map");
export const programInfo = (fd: number): ProgramInfo => info(fd, ProgramInfoStruct, "a program");
export const linkInfo = (fd: number): LinkInfo => info(fd, LinkInfoStruct, "a link");
