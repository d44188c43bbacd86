/**
 * The kernel's helpers that a user's program may call: to read and change its packet, to use its own maps, and to get
 * the time and random numbers. Not allowed: helpers that send packets elsewhere, end the chain, may take long, or read
 * the kernel or other programs' maps.
 */
export const ALLOWED_HELPERS: ReadonlyMap<number, string> = new Map([
  [1, "bpf_map_lookup_elem"],
  [2, "bpf_map_update_elem"],
  [3, "bpf_map_delete_elem"],
  [5, "bpf_ktime_get_ns"],
  [7, "bpf_get_prandom_u32"],
  [8, "bpf_get_smp_processor_id"],
  [9, "bpf_skb_store_bytes"],
  [10, "bpf_l3_csum_replace"],
  [11, "bpf_l4_csum_replace"],
  [26, "bpf_skb_load_bytes"],
  [28, "bpf_csum_diff"],
  [34, "bpf_get_hash_recalc"],
  [39, "bpf_skb_pull_data"],
  [40, "bpf_csum_update"],
  [68, "bpf_skb_load_bytes_relative"],
  [97, "bpf_skb_ecn_set_ce"],
  [118, "bpf_jiffies64"],
  [125, "bpf_ktime_get_boot_ns"],
  [160, "bpf_ktime_get_coarse_ns"],
]);

/** Names of other helpers, for messages. */
const OTHERS: ReadonlyMap<number, string> = new Map([
  [4, "bpf_probe_read"],
  [6, "bpf_trace_printk"],
  [12, "bpf_tail_call"],
  [13, "bpf_clone_redirect"],
  [14, "bpf_get_current_pid_tgid"],
  [15, "bpf_get_current_uid_gid"],
  [16, "bpf_get_current_comm"],
  [18, "bpf_skb_vlan_push"],
  [19, "bpf_skb_vlan_pop"],
  [20, "bpf_skb_get_tunnel_key"],
  [21, "bpf_skb_set_tunnel_key"],
  [23, "bpf_redirect"],
  [25, "bpf_perf_event_output"],
  [31, "bpf_skb_change_proto"],
  [32, "bpf_skb_change_type"],
  [36, "bpf_probe_write_user"],
  [38, "bpf_skb_change_tail"],
  [43, "bpf_skb_change_head"],
  [50, "bpf_skb_adjust_room"],
  [51, "bpf_redirect_map"],
  [58, "bpf_override_return"],
  [69, "bpf_fib_lookup"],
  [84, "bpf_sk_lookup_tcp"],
  [93, "bpf_spin_lock"],
  [94, "bpf_spin_unlock"],
  [112, "bpf_probe_read_user"],
  [113, "bpf_probe_read_kernel"],
  [124, "bpf_sk_assign"],
  [130, "bpf_ringbuf_output"],
  [131, "bpf_ringbuf_reserve"],
  [152, "bpf_redirect_neigh"],
  [155, "bpf_redirect_peer"],
  [164, "bpf_for_each_map_elem"],
  [166, "bpf_sys_bpf"],
  [171, "bpf_timer_start"],
  [177, "bpf_trace_vprintk"],
  [181, "bpf_loop"],
  [192, "bpf_skb_set_tstamp"],
]);

/** A helper's name, or its number if unknown. */
export const helperName = (id: number): string => ALLOWED_HELPERS.get(id) ?? OTHERS.get(id) ?? `helper ${id}`;
