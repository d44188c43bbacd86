import { describe, expect, test } from "vitest";
import type { Change, Delta, Instance, Link, Port, Row, Shaper } from "../model/document.ts";
import { delayLinks, panelLinks } from "../model/panel.ts";
import { Memory } from "./testing/memory.ts";

const TABLE = "weir_t_rows";
const OWNER = "Pod/ns/a";
const NONE: Delta = { instances: [], ports: [], links: [], routes: [], shapers: [], leases: [], rows: [] };

const set = <T>(item: T, owner = OWNER): Change<T> => ({ owner, item, gone: false });
const gone = <T>(item: T, owner = OWNER): Change<T> => ({ owner, item, gone: true });
const instance = (name: string): Instance => ({ name, function: "t" });
const row = (key: number | string, value: Row["value"] = { value: 1 }): Row => ({ table: TABLE, key: { key }, value });
const port = (name: string, more: Partial<Port> = {}): Port => ({
  ...{ instance: "r", name, peer: { kind: "none" }, ingress: [], egress: [] },
  ...more,
});
const pod = (device: string): Link => ({
  ...{ kind: "pod", device, netns: `/run/netns/${device}`, ifname: "eth0", mac: "02:00:00:00:00:02" },
  ...{ ips: ["10.0.0.1"], gateways: [], gatewayMac: "02:00:00:00:00:01", mtu: 1500 },
});
const shaper = (of: string, rate: number): Shaper => ({ instance: of, device: "weir_shape0", rate, mtu: 1500 });

function bench(most = 1000) {
  const memory = new Memory({ tables: { [TABLE]: most }, functions: ["t"] });
  const datapath = memory.datapath();
  const links = panelLinks().map((link): Change<Link> => set(link, "Node/n"));
  datapath.apply({ ...NONE, links, instances: [set(instance("r"))] }, { whole: true });
  expect(datapath.outcomes.all()).toEqual([]);
  return { memory, datapath, table: memory.table(TABLE) };
}
const codes = (outcomes: readonly { owner: string; code: string }[]) =>
  outcomes.map(({ owner, code }) => `${owner} ${code}`).toSorted();

describe("a failure costs its owner only", () => {
  test("a full map: other rows are written, and the waiting one is when there is room", () => {
    const { memory, datapath, table } = bench(2);
    const rows = [set(row(1)), set(row(2), "Pod/ns/b"), set(row(3), "Pod/ns/c")];
    datapath.apply({ ...NONE, rows });
    expect(codes(datapath.outcomes.all())).toEqual(["Pod/ns/c full"]);
    expect(datapath.outcomes.of("Pod/ns/c")[0]?.message).toContain(`write row of ${TABLE} {"key":3}`);
    expect(datapath.retryIn).toBeGreaterThan(0);
    datapath.apply({ ...NONE, rows: [gone(row(1))] });
    expect(datapath.outcomes.all()).toEqual([]);
    expect(table.entries().map(([key]) => table.key.decode(key)["key"])).toEqual([2, 3]);
    table.maxEntries = 3;
    datapath.apply({ ...NONE, rows: [set(row(4)), set(row(5))] });
    expect([datapath.pending, datapath.outcomes.size]).toEqual([1, 1]);
    table.maxEntries = 10;
    memory.now += datapath.retryIn ?? 0;
    datapath.apply();
    expect([datapath.pending, datapath.retryIn]).toEqual([0, undefined]);
  });

  test("a row that cannot be encoded, and a row that refers to something missing", () => {
    const { datapath } = bench();
    const bad = row(1, { value: "x".repeat(600) });
    const lost = row(2, { of: { port: "r:nowhere" } });
    datapath.apply({ ...NONE, rows: [set(bad), set(lost, "Pod/ns/b"), set(row(3), "Pod/ns/c")] });
    expect(codes(datapath.outcomes.all())).toEqual(["Pod/ns/a encode", "Pod/ns/b missing"]);
    expect(datapath.rows).toBe(1);
    expect(datapath.panel.names.find("port", "r:nowhere")).toBeUndefined();
    datapath.apply({ ...NONE, ports: [set(port("nowhere"))] });
    expect(codes(datapath.outcomes.all())).toEqual(["Pod/ns/a encode"]);
    datapath.apply({ ...NONE, rows: [gone(bad)] });
    expect(datapath.outcomes.all()).toEqual([]);
  });

  test("a name too long, and all ids in use: an instance without an id is left out of its chains until one is free", () => {
    const { memory, datapath } = bench();
    const long = `l${"x".repeat(60)}`;
    const ingress = ["i1", long];
    const ports = [set(port("a", { ingress }))];
    datapath.apply({ ...NONE, ports, instances: [set(instance("i1")), set(instance(long), "Limit/ns/long")] });
    expect(codes(datapath.outcomes.all())).toEqual(["Limit/ns/long encode"]);
    expect(memory.ports.inForce.get("r:a")?.ingress).toHaveLength(2);
    const shapers = Array.from({ length: 1023 }, (_, i) => set(shaper(`s${i}`, 1e6), `Limit/ns/${i}`));
    datapath.apply({ ...NONE, shapers });
    expect(codes(datapath.outcomes.all())).toEqual(["Limit/ns/1022 no-id", "Limit/ns/long encode"]);
    datapath.apply({ ...NONE, shapers: [gone(shaper("s0", 1e6))] });
    datapath.apply();
    expect(codes(datapath.outcomes.all())).toEqual(["Limit/ns/long encode"]);
  });

  test("a device that cannot be created, a missing device, a program that cannot be attached", () => {
    const { memory, datapath } = bench();
    memory.refuses = (what) => what === "make weir00000000001" || what === "attach weir00000000002";
    const devices = ["weir00000000001", "weir00000000002", "weir00000000003"];
    const links = devices.map((device, i) => set(pod(device), `Pod/ns/${i}`));
    const to = (device: string): Partial<Port> => ({
      entry: device,
      peer: { kind: "device", device, delivery: "peer" },
    });
    const ports = devices.map((device, i) => set(port(device, to(device)), `Pod/ns/${i}`));
    datapath.apply({ ...NONE, links, ports: [...ports, set(port("tap", to("veth9")), "Pod/ns/tap")] });
    expect(codes(datapath.outcomes.all())).toEqual(["Pod/ns/0 kernel", "Pod/ns/1 kernel", "Pod/ns/tap no-device"]);
    expect(devices.map((device) => memory.network.device(device)?.up)).toEqual([undefined, false, true]);
    memory.refuses = () => false;
    memory.network.add("veth9");
    memory.now += 100;
    const news = { kind: "link", device: memory.network.device("veth9") ?? expect.fail(), gone: false } as const;
    expect(datapath.noticed(news)).toBe(true);
    expect(datapath.pending).toBeGreaterThan(0);
    datapath.apply();
    expect(datapath.outcomes.all()).toEqual([]);
    expect(devices.map((device) => memory.network.device(device)?.up)).toEqual([true, true, true]);
    expect(memory.ports.inForce.get("r:tap")?.entry).toBe(memory.network.device("veth9")?.ifindex);
  });

  test("a panel that refuses a change keeps the old state; the failure is an outcome of the node", () => {
    const { memory, datapath, table } = bench();
    datapath.apply({ ...NONE, ports: [set(port("a"))], rows: [set(row(1, { of: { port: "r:a" } }))] });
    memory.refuses = (what) => what === "commit";
    datapath.apply({ ...NONE, ports: [gone(port("a"))], rows: [gone(row(1))] });
    expect(codes(datapath.outcomes.all())).toEqual(["Node kernel"]);
    expect(table.entries()).toHaveLength(1);
    expect(datapath.panel.names.find("port", "r:a")).toBeDefined();
    memory.refuses = () => false;
    datapath.apply();
    expect([datapath.outcomes.size, table.entries().length, memory.ports.inForce.size]).toEqual([0, 0, 0]);
    expect(datapath.panel.names.find("port", "r:a")).toBeUndefined();
  });
});

describe("what is in force", () => {
  test("is not written or read again when something else changes", () => {
    const { memory, datapath } = bench();
    datapath.apply({ ...NONE, links: [set(pod("weir00000000001"))], rows: [set(row(1)), set(row(2))] });
    const { dumps } = memory.network;
    expect(datapath.apply().writes).toBe(0);
    expect(datapath.apply({ ...NONE, rows: [set(row(1, { value: 2 }))] }).writes).toBe(1);
    expect(memory.network.dumps).toBe(dumps);
  });

  test("devices that receive from queues of limits and delays are steered, if there are any", () => {
    const { memory, datapath } = bench();
    expect(memory.network.steered).toEqual([]);
    datapath.apply({ ...NONE, instances: [set(instance("l"))], shapers: [set(shaper("l", 1e6))] });
    expect(memory.network.steered.splice(0)).toEqual(["weir_shape1"]);
    datapath.apply({ ...NONE, links: delayLinks().map((link): Change<Link> => set(link, "Node/n")) });
    expect(memory.network.steered).toEqual(["weir_delay1"]);
  });

  test("is taken over by another agent without a write, and unwanted items are removed", () => {
    const { memory, datapath } = bench();
    const links = [...panelLinks().map((link): Change<Link> => set(link, "Node/n")), set(pod("weir00000000001"))];
    const instances = [set(instance("r")), set(instance("l"))];
    const delta = { ...NONE, links, instances, ports: [set(port("a"))], shapers: [set(shaper("l", 1e6))] };
    const rows = [set(row(1, { of: { port: "r:a" } })), set(row(2))];
    datapath.apply({ ...delta, rows });
    const next = memory.datapath();
    expect(next.apply({ ...delta, rows }, { whole: true }).writes).toBe(0);
    expect(next.outcomes.all()).toEqual([]);
    const last = memory.datapath();
    last.apply({ ...NONE, links: links.slice(0, 3), instances: instances.slice(0, 1) }, { whole: true });
    last.apply();
    expect([last.rows, memory.table(TABLE).entries().length, memory.network.classes().length]).toEqual([0, 0, 0]);
    expect(memory.network.device("weir00000000001")).toBeUndefined();
    expect([...last.panel.names.all("port").values(), ...last.panel.names.all("shaper").values()]).toEqual([]);
    expect([...last.panel.names.all("instance").values()]).toEqual(["r"]);
  });

  test("includes rows with a device's index: they are written again when the device is replaced", () => {
    const { memory, datapath, table } = bench();
    const first = memory.network.add("veth1").ifindex;
    const named = row(1, { device: { device: "veth1" } });
    datapath.apply({ ...NONE, rows: [set(named), set(row(2))] });
    const value = () => table.value.decode(table.lookup(table.key.encode({ key: 1 })) ?? expect.fail())["device"];
    expect(value()).toBe(first);
    const device = memory.network.device("veth1") ?? expect.fail();
    memory.network.remove("veth1");
    expect(datapath.noticed({ kind: "link", device, gone: true })).toBe(true);
    expect(datapath.apply().writes).toBe(1);
    expect([value(), ...codes(datapath.outcomes.all())]).toEqual([0, "Pod/ns/a no-device"]);
    const again = memory.network.add("veth1");
    expect(datapath.noticed({ kind: "link", device: again, gone: false })).toBe(true);
    expect(datapath.noticed({ kind: "link", device: memory.network.add("veth2"), gone: false })).toBe(false);
    datapath.apply();
    expect([value(), datapath.outcomes.size]).toEqual([again.ifindex, 0]);
  });

  test("is repaired by a scrub if somebody changed, removed or added rows", () => {
    const { memory, datapath, table } = bench();
    datapath.apply({ ...NONE, rows: [set(row(1)), set(row(2)), set(row(3))] });
    const held = () =>
      table
        .entries()
        .map(([key, value]) => `${table.key.decode(key)["key"]} ${value}`)
        .toSorted();
    const before = held();
    const key = (of: number) => table.key.encode({ key: of });
    const scrub = (): number => {
      for (let writes = 0; ; ) {
        const { writes: more, done } = datapath.scrub();
        writes += more;
        if (done) return writes;
      }
    };
    expect(scrub()).toBe(0);
    table.remove([key(1)]);
    table.write([
      [key(2), table.value.encode({ value: 9 })],
      [key(7), table.value.encode({ value: 7 })],
    ]);
    memory.names.scrub();
    expect(scrub()).toBe(3);
    expect(held()).toEqual(before);
    expect(scrub()).toBe(0);
  });

  test.each([0, 500, 4000])("is compared within a minute, slice by slice, with %i pods", (count) => {
    const { datapath } = bench();
    const names = Array.from({ length: count }, (_, i) => `weir${(i + 1).toString(16).padStart(11, "0")}`);
    const ports = names.map((name) =>
      set(port(name, { peer: { kind: "device", device: name, delivery: "peer" }, entry: name })),
    );
    datapath.apply({ ...NONE, links: names.map((name) => set(pod(name))), ports });
    expect(datapath.outcomes.all()).toEqual([]);
    let slices = 1;
    while (!datapath.scrub().done) slices++;
    expect(datapath.scrubEvery).toBeLessThanOrEqual(2000);
    expect(slices * datapath.scrubEvery).toBeLessThanOrEqual(60_000);
    expect(datapath.outcomes.all()).toEqual([]);
  });

  test("includes an id as long as a row of any owner refers to its name", () => {
    const { datapath } = bench();
    const { names } = datapath.panel;
    const other = row(1, { of: { port: "r:a" } });
    datapath.apply({ ...NONE, ports: [set(port("a"))], rows: [set(other, "Pod/ns/b")] });
    const id = names.find("port", "r:a");
    datapath.apply({ ...NONE, ports: [gone(port("a"))] });
    expect(names.find("port", "r:a")).toBe(id);
    datapath.apply({ ...NONE, rows: [gone(other, "Pod/ns/b")] });
    expect(names.find("port", "r:a")).toBeUndefined();
  });
});
