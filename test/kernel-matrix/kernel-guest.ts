/** Runs inside the test machine: checks src/kernel on a kernel without tcx; one JSON line per check. */
import { release } from "node:os";
import {
  addAddress,
  addNeighbour,
  addRoute,
  allowVni,
  atLeast,
  attachDevice,
  attachTcx,
  type BpfObject,
  changeTc,
  classes,
  createLink,
  createNamespace,
  createVeth,
  createVxlan,
  findLink,
  handle,
  ifindexOf,
  inNamespace,
  loadObject,
  openBpfLink,
  type Program,
  removeNamespace,
  routes,
  runProbes,
  setLink,
  setOffloads,
} from "../../src/kernel/index.ts";
import { check } from "./report.ts";

function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [actual, expected].map((value) =>
    JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v)),
  );
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "nothing was thrown";
};

check("probes agree with the versions that they state", () => {
  const wrong = runProbes().filter(
    ({ certain, minimum, available }) => certain && minimum !== null && available !== atLeast(release(), minimum),
  );
  equal(
    wrong.map(({ name, detail }) => [name, detail]),
    [],
  );
});
check("modules and options that are there are found", () => {
  const wanted = [
    "HTB qdisc",
    "TBF qdisc",
    "fq qdisc",
    "netem qdisc",
    "VXLAN devices",
    "ifb devices",
    "packet steering",
  ];
  equal(
    runProbes().filter(({ name, available }) => wanted.includes(name) && !available),
    [],
  );
});

const [one, two] = [createNamespace("one"), createNamespace("two")];
check("devices, addresses, routes, neighbours", () => {
  createVeth({ name: "w0", mac: "02:00:00:00:00:01", mtu: 1450, peer: { name: "eth0", mtu: 1450, netns: two } }, one);
  createVxlan({ name: "vx", port: 4790, vni: 7, mtu: 1400 }, one);
  allowVni("vx", 7, one);
  equal(findLink("vx", one)?.vni, 7);
  createLink({ name: "ifb7", kind: "ifb" }, one);
  for (const [device, netns] of [
    ["w0", one],
    ["vx", one],
    ["eth0", two],
  ] as const)
    setLink(device, { up: true }, netns);
  addAddress("eth0", "10.0.0.2/32", {}, two);
  addAddress("eth0", "fd00::2/128", {}, two);
  addRoute({ cidr: "169.254.1.1/32", device: "eth0" }, two);
  addRoute({ cidr: "0.0.0.0/0", device: "eth0", via: "169.254.1.1" }, two);
  addRoute({ cidr: "::/0", device: "eth0", via: "fe80::1", onlink: true }, two);
  addNeighbour({ device: "eth0", address: "fe80::1", mac: "02:00:00:00:00:01" }, two);
  equal(routes(two).filter(({ protocol }) => protocol === 119).length, 3);
  equal(findLink("w0", one)?.mac, "02:00:00:00:00:01");
  equal(
    refusal(() => createVxlan({ name: "vx", port: 4790, vni: 7 }, one)),
    "netlink-refused",
  );
});
check("offloads", () => setOffloads("w0", { segmentation: false, txChecksum: false, gro: false }, one));
check("a shaper's tree", () => {
  const htb = { rate: 40_000_000_000n, burst: 100_000, quantum: 3000 };
  changeTc(
    "w0",
    [
      { op: "set", kind: "htb", handle: handle(1), defaultClass: 1 },
      { op: "set", kind: "htb-class", handle: handle(1, 1), parent: handle(1), htb },
      { op: "set", kind: "bfifo", handle: handle(2), parent: handle(1, 1), limit: 100_000 },
    ],
    one,
  );
  changeTc(
    "w0",
    [{ op: "set", kind: "htb-class", handle: handle(1, 1), parent: handle(1), htb: { ...htb, rate: 8000 } }],
    one,
  );
  equal(classes("w0", one).find((found) => found.handle === handle(1, 1))?.htb?.rate, 8000n);
  changeTc("w0", [{ op: "remove", kind: "qdisc", handle: handle(1), parent: 0xffffffff }], one);
  changeTc("w0", [{ op: "remove", kind: "qdisc", handle: handle(1), parent: 0xffffffff }], one);
});

check("programs attach by clsact, are adopted by their pin, replaced and detached", () => {
  const pins = "/sys/fs/bpf/weir-kernel";
  const load = () => loadObject("/weir/dist/bpf/entry.bpf.o");
  const [first, second] = [load(), load()];
  const program = (object: BpfObject): Program => {
    for (const found of object.programs.values()) return found;
    throw new Error("the object has no program");
  };
  inNamespace(one, () => {
    const ifindex = ifindexOf("w0");
    equal(
      refusal(() => attachTcx(program(first), ifindex, "ingress")),
      "tcx-unsupported",
    );
    const link = attachDevice(program(first), ifindex, "ingress", { pin: `${pins}/w0` });
    equal([link.kind, link.programId], ["clsact", program(first).id]);
    equal(attachDevice(program(second), ifindex, "ingress", { pin: `${pins}/w0` }).programId, program(second).id);
    const opened = openBpfLink(`${pins}/w0`);
    equal([opened.ifindex, opened.direction, opened.programId], [ifindex, "ingress", program(second).id]);
    opened.detach();
    opened.detach();
    equal(opened.programId, 0);
    equal(
      refusal(() => attachDevice(program(first), 4242, "egress")),
      "attach-failed",
    );
  });
  for (const object of [first, second]) object.close();
});

check("namespaces go", () => ["one", "two"].forEach(removeNamespace));
