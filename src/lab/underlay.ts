import { existsSync } from "node:fs";
import type { LabNames, NodeNames } from "./names.ts";
import { netnsPath } from "./names.ts";
import { ipBatch, run } from "./run.ts";

const UNDERLAY_MTU = 1500;

/**
 * Writes `value` to sysctls (paths below /proc/sys) of one network namespace; sysctls that the kernel lacks are
 * skipped.
 */
async function setSysctls(netns: string, value: string, sysctls: readonly string[]): Promise<void> {
  const files = sysctls.map((name) => `/proc/sys/${name}`).filter((path) => existsSync(path));
  if (files.length === 0) return;
  await run("nsenter", [`--net=${netnsPath(netns)}`, "--", "tee", ...files], { input: value });
}

/**
 * Creates the network between the nodes: network namespace `weir.LAB.net` with a bridge, and one veth pair to each
 * node's `eth0`. No device is in the machine's own network namespace.
 */
export async function buildUnderlay(lab: LabNames, nodes: readonly NodeNames[]): Promise<void> {
  await ipBatch([lab.netNetns, ...nodes.map((node) => node.netns)].map((netns) => `netns add ${netns}`));
  await Promise.all([buildSwitch(lab), ...nodes.map((node) => prepareNode(node))]);
  await ipBatch(
    nodes.flatMap((node) => [
      `link add ${node.name} mtu ${UNDERLAY_MTU} type veth peer name eth0 mtu ${UNDERLAY_MTU} netns ${node.netns}`,
      `link set ${node.name} master br0 up`,
    ]),
    { netns: lab.netNetns },
  );
  await Promise.all(nodes.map((node) => addressNode(node)));
}

async function buildSwitch(lab: LabNames): Promise<void> {
  await setSysctls(lab.netNetns, "0", [
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-arptables",
  ]);
  await setSysctls(lab.netNetns, "1", ["net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"]);
  await ipBatch(["link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set br0 up"], {
    netns: lab.netNetns,
  });
}

/** Sets the sysctls of `default` before eth0 exists: a new device inherits them. */
async function prepareNode(node: NodeNames): Promise<void> {
  await setSysctls(node.netns, "1", ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"]);
  await setSysctls(node.netns, "0", [
    "net/ipv6/conf/default/accept_dad", // With duplicate address detection an address is not usable for a second or more.
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
  ]);
}

async function addressNode(node: NodeNames): Promise<void> {
  const [v4, v6] = node.addresses;
  await ipBatch(["link set lo up", `addr add ${v4} dev eth0`, `addr add ${v6} dev eth0 nodad`, "link set eth0 up"], {
    netns: node.netns,
  });
}
