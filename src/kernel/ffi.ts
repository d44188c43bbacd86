import koffi, { type LibraryHandle, type TypeObject } from "koffi";
import { KernelError } from "./errors.ts";

/** A C pointer that is not null. */
export type Pointer = bigint;

function open(soname: string, packageName: string): LibraryHandle {
  try {
    return koffi.load(soname);
  } catch (cause) {
    throw new KernelError(`load ${soname}`, {
      code: "library-missing",
      hint: `install ${packageName}`,
      cause,
    });
  }
}

/** Evaluates `make` on first use, so that importing this folder loads no library. */
export function lazy<T>(make: () => T): () => T {
  let value: { made: T } | undefined;
  return () => {
    value ??= { made: make() };
    return value.made;
  };
}

type CType = string | TypeObject | ReturnType<typeof koffi.out>;

/** Declares C functions by prototype, `name: [result, arguments…]`. Each is bound on first use. */
function functions<Name extends string>(
  library: () => LibraryHandle,
  prototypes: Readonly<Record<Name, readonly [CType, ...CType[]]>>,
): Record<Name, (...args: unknown[]) => unknown> {
  const bound = {} as Record<Name, (...args: unknown[]) => unknown>;
  for (const name of Object.keys(prototypes) as Name[]) {
    const [result, ...args] = prototypes[name];
    const resolve = lazy(() => library().func(name, result, args));
    Object.defineProperty(bound, name, {
      configurable: true,
      get() {
        const value = resolve();
        Object.defineProperty(bound, name, { value });
        return value;
      },
    });
  }
  return bound;
}

export const PrintFn = koffi.proto("int", ["int", "void *", "void *"]);
export const SampleFn = koffi.proto("int", ["void *", "void *", "size_t"]);

export const TestRunOpts = koffi.struct({
  sz: "size_t",
  data_in: "void *",
  data_out: "void *",
  data_size_in: "uint32_t",
  data_size_out: "uint32_t",
  ctx_in: "void *",
  ctx_out: "void *",
  ctx_size_in: "uint32_t",
  ctx_size_out: "uint32_t",
  retval: "uint32_t",
  repeat: "int",
  duration: "uint32_t",
  flags: "uint32_t",
  cpu: "uint32_t",
  batch_size: "uint32_t",
});
export const TcHook = koffi.struct({
  sz: "size_t",
  ifindex: "int",
  attach_point: "int",
  parent: "uint32_t",
});
export const TcOpts = koffi.struct({
  sz: "size_t",
  prog_fd: "int",
  flags: "uint32_t",
  prog_id: "uint32_t",
  handle: "uint32_t",
  priority: "uint32_t",
});
/** `bpf_link_create_opts`; the last three words are a union of per-type options, which tcx does not use. */
export const LinkCreateOpts = koffi.struct({
  sz: "size_t",
  flags: "uint32_t",
  iter_info: "void *",
  iter_info_len: "uint32_t",
  target_btf_id: "uint32_t",
  perType: koffi.array("uint64_t", 4),
});
/** `bpf_map_create_opts`; `ids` are BTF ids; `rest`: flags, extra, NUMA node and device. */
export const MapCreateOpts = koffi.struct({
  sz: "size_t",
  ids: koffi.array("uint32_t", 4),
  inner_map_fd: "uint32_t",
  rest: koffi.array("uint32_t", 5),
});
export const BatchOpts = koffi.struct({
  sz: "size_t",
  elem_flags: "uint64_t",
  flags: "uint64_t",
});

const P = "void *";
const S = "const char *";

/** libbpf 1.x. A negative `int` is −errno; after a null pointer `koffi.errno()` has the error. */
export const bpf = functions(
  lazy(() => open("libbpf.so.1", "libbpf1")),
  {
    libbpf_set_print: [P, koffi.pointer(PrintFn)],
    libbpf_num_possible_cpus: ["int"],
    bpf_object__open_file: [P, S, P],
    bpf_object__load: ["int", P],
    bpf_object__close: ["void", P],
    bpf_object__btf: [P, P],
    bpf_object__next_map: [P, P, P],
    bpf_object__next_program: [P, P, P],
    btf__load_from_kernel_by_id: [P, "uint32_t"],
    btf__free: ["void", P],
    btf__raw_data: [P, P, koffi.out(koffi.pointer("uint32_t"))],
    bpf_map__name: [S, P],
    bpf_map__fd: ["int", P],
    bpf_map__is_internal: ["bool", P],
    bpf_map__set_pin_path: ["int", P, S],
    bpf_map__pin_path: [S, P],
    bpf_map__type: ["int", P],
    bpf_map__key_size: ["uint32_t", P],
    bpf_map__value_size: ["uint32_t", P],
    bpf_map__max_entries: ["uint32_t", P],
    bpf_map__map_flags: ["uint32_t", P],
    bpf_map__set_max_entries: ["int", P, "uint32_t"],
    bpf_map__btf_key_type_id: ["uint32_t", P],
    bpf_map__btf_value_type_id: ["uint32_t", P],
    bpf_map__initial_value: [P, P, koffi.out(koffi.pointer("size_t"))],
    bpf_map__set_initial_value: ["int", P, P, "size_t"],
    bpf_program__name: [S, P],
    bpf_program__fd: ["int", P],
    bpf_map_lookup_elem_flags: ["int", "int", P, P, "uint64_t"],
    bpf_map_update_elem: ["int", "int", P, P, "uint64_t"],
    bpf_map_delete_elem: ["int", "int", P],
    bpf_map_get_next_key: ["int", "int", P, P],
    bpf_map_lookup_batch: ["int", "int", P, P, P, P, P, P],
    bpf_map_update_batch: ["int", "int", P, P, P, koffi.pointer(BatchOpts)],
    bpf_map_delete_batch: ["int", "int", P, P, P],
    bpf_map_create: ["int", "int", S, "uint32_t", "uint32_t", "uint32_t", koffi.pointer(MapCreateOpts)],
    bpf_obj_pin: ["int", "int", S],
    bpf_obj_get: ["int", S],
    bpf_obj_get_info_by_fd: ["int", "int", P, P],
    bpf_enable_stats: ["int", "int"],
    bpf_linker__new: [P, S, P],
    bpf_linker__add_file: ["int", P, S, P],
    bpf_linker__finalize: ["int", P],
    bpf_linker__free: ["void", P],
    bpf_prog_load: ["int", "int", S, S, P, "size_t", P],
    bpf_prog_test_run_opts: ["int", "int", koffi.inout(koffi.pointer(TestRunOpts))],
    bpf_link_create: ["int", "int", "int", "int", koffi.pointer(LinkCreateOpts)],
    bpf_link_update: ["int", "int", "int", P],
    bpf_link_detach: ["int", "int"],
    bpf_tc_hook_create: ["int", koffi.pointer(TcHook)],
    bpf_tc_attach: ["int", koffi.pointer(TcHook), koffi.inout(koffi.pointer(TcOpts))],
    bpf_tc_detach: ["int", koffi.pointer(TcHook), koffi.pointer(TcOpts)],
    bpf_tc_query: ["int", koffi.pointer(TcHook), koffi.inout(koffi.pointer(TcOpts))],
    ring_buffer__new: [P, "int", koffi.pointer(SampleFn), P, P],
    ring_buffer__consume: ["int", P],
    ring_buffer__free: ["void", P],
    libbpf_probe_bpf_prog_type: ["int", "int", P],
    libbpf_probe_bpf_map_type: ["int", "int", P],
    libbpf_probe_bpf_helper: ["int", "int", "int", P],
  },
);

/** The C library. After −1 or null `koffi.errno()` has the error, if read synchronously. */
export const libc = functions(
  lazy(() => open("libc.so.6", "the GNU C library")),
  {
    vsnprintf: ["int", P, "size_t", P, P],
    close: ["int", "int"],
    flock: ["int", "int", "int"],
    setns: ["int", "int", "int"],
    unshare: ["int", "int"],
    mount: ["int", S, S, S, "ulong", P],
    umount2: ["int", S, "int"],
    socket: ["int", "int", "int", "int"],
    bind: ["int", "int", P, "uint32_t"],
    send: ["long", "int", P, "size_t", "int"],
    recv: ["long", "int", P, "size_t", "int"],
    sendmmsg: ["int", "int", P, "uint32_t", "int"],
    recvmmsg: ["int", "int", P, "uint32_t", "int", P],
    connect: ["int", "int", P, "uint32_t"],
    clock_gettime: ["int", "int", P],
    setsockopt: ["int", "int", "int", "int", P, "uint32_t"],
    ioctl: ["int", "int", "ulong", P],
    if_nametoindex: ["uint32_t", S],
    inotify_init1: ["int", "int"],
    malloc_trim: ["int", "size_t"],
  },
);
