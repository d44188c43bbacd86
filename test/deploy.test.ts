import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { CAPABILITIES } from "../src/agent/capabilities.ts";
import { parseConfig } from "../src/api/config.ts";
import { customResources } from "../src/sources/manifests/crds.ts";

const read = (name: string) => readFile(new URL(`../deploy/${name}`, import.meta.url), "utf8");

describe("the systemd unit", () => {
  test("gives the agent exactly its capabilities, each with a reason", async () => {
    const unit = await read("weir-agent.service");
    const names = CAPABILITIES.map(({ name }) => `CAP_${name.toUpperCase()}`);
    expect(/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.split(" ")).toEqual(names);
    for (const name of names) expect(unit).toMatch(new RegExp(`^# ${name} +\\w`, "m"));
  });

  test("starts the agent by the launcher, and restarts it while another version is being installed", async () => {
    const unit = await read("weir-agent.service");
    expect(unit).toMatch(/^ExecStart=\/opt\/weir\/bin\/weir agent /m);
    expect(unit).toMatch(/^\[Unit\]\n[^[]*^StartLimitIntervalSec=0$/m);
    expect(unit).toMatch(/^Restart=always$/m);
  });

  test("stays in the host's mount namespace, where pods' namespaces appear", async () => {
    const unit = await read("weir-agent.service");
    expect(unit).not.toMatch(/^(Protect|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary|Root|MountFlags)\w*=/m);
  });
});

test("the example configuration is valid", async () => {
  expect(parseConfig(await read("agent.yaml"), "agent.yaml")).toMatchObject({
    overlay: "vxlan",
    manifests: "/etc/weir/manifests",
    metrics: "127.0.0.1:9095",
  });
});

test("the custom resources are those that npm run generate writes", async () => {
  const made = customResources();
  expect(await readdir(new URL("../deploy/crds/", import.meta.url))).toEqual([...made.keys()].sort());
  for (const [name, text] of made) expect(await read(`crds/${name}`)).toBe(text);
});
