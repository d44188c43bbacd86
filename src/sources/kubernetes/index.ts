export { KubernetesClient } from "./client.ts";
export { type ConfigOptions, type KubernetesConfig, KubernetesConfigError, loadKubernetesConfig } from "./config.ts";
export { ApiStatusError, ConnectionError } from "./errors.ts";
export { type KubernetesSourceOptions, watchKubernetes } from "./source.ts";
