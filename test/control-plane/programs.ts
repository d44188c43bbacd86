import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";

const HERE = join(import.meta.dirname, "programs");

/** Paths of a control plane's programs. */
export interface Programs {
  etcd: string;
  apiServer: string;
  kubectl: string;
}

/**
 * The programs in $KUBEBUILDER_ASSETS, otherwise those in the cache, where they are built if missing (minutes, once per
 * machine). Throws if one is missing or cannot be built.
 */
export function controlPlanePrograms(env: NodeJS.ProcessEnv = process.env): Programs {
  const given = env["KUBEBUILDER_ASSETS"];
  const folder = given || join(env["WEIR_CACHE"] ?? "/var/cache/weir", `control-plane-${version()}`);
  if (!given) make(folder);
  const programs = {
    etcd: env["TEST_ASSET_ETCD"] ?? join(folder, "etcd"),
    apiServer: env["TEST_ASSET_KUBE_APISERVER"] ?? join(folder, "kube-apiserver"),
    kubectl: env["TEST_ASSET_KUBECTL"] ?? join(folder, "kubectl"),
  };
  for (const path of Object.values(programs)) accessSync(path, constants.X_OK);
  return programs;
}

/** Version of Kubernetes in go.mod: `v1.34.4`. */
function version(): string {
  const found = /^(?:require |\t)k8s\.io\/kubernetes (v[\d.]+)/m.exec(readFileSync(join(HERE, "go.mod"), "utf8"));
  if (!found?.[1]) throw new Error(`read ${HERE}/go.mod: it requires no k8s.io/kubernetes`);
  return found[1];
}

function make(folder: string): void {
  const { status, error } = spawnSync("sh", [join(HERE, "make.sh"), folder], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`make the control plane's programs in ${folder}: ${error?.message ?? "see above"}`);
}
