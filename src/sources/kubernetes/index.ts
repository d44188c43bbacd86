export { type Access, fixedAccess, openAccess } from "./access.ts";
export { KubernetesClient } from "./client.ts";
export { type ConfigOptions, type KubernetesConfig, KubernetesConfigError, loadKubernetesConfig } from "./config.ts";
export { ApiStatusError, ConnectionError } from "./errors.ts";
export { FOLLOWED } from "./followed.ts";
export { type ObjectStatus, type ReadObject, readObject, readStatus } from "./objects.ts";
export { Reflector } from "./reflector.ts";
export { type RawObject, type Resource, resourcePath } from "./resource.ts";
export { type KubernetesSourceOptions, type KubernetesWatch, watchKubernetes } from "./source.ts";
