/** A kind of object, as in the API's paths. */
export interface Resource {
  /** `v1`, or `GROUP/VERSION`. */
  apiVersion: string;
  kind: string;
  /** Plural name in paths: `pods`, `limits`. */
  plural: string;
}

/** An object, or a collection without `name`; of all namespaces without `namespace`. */
export interface Target {
  namespace?: string | undefined;
  name?: string | undefined;
  subresource?: "status" | undefined;
}

/** `/apis/weir.dev/v1alpha1/namespaces/default/limits/slow/status`. */
export function resourcePath({ apiVersion, plural }: Resource, { namespace, name, subresource }: Target = {}): string {
  const parts = [
    apiVersion.includes("/") ? "apis" : "api",
    ...apiVersion.split("/"),
    ...(namespace === undefined ? [] : ["namespaces", namespace]),
    plural,
    ...(name === undefined ? [] : [name, ...(subresource ? [subresource] : [])]),
  ];
  // a name that could change the path is invalid
  for (const part of parts) {
    if (!/^[A-Za-z0-9](?!.*\.\.)[-A-Za-z0-9_.:]*$/.test(part))
      throw new TypeError(`${JSON.stringify(part)} is no part of an API path`);
  }
  return `/${parts.join("/")}`;
}

/** An object from the API. Only what every object has is typed. */
export interface RawObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
}
