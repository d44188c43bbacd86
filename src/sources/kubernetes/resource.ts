/** A kind of object as the API's paths know it. */
export interface Resource {
  /** `v1`, or `GROUP/VERSION`. */
  apiVersion: string;
  kind: string;
  /** In paths: `pods`, `limits`. */
  plural: string;
}

/** Which object, or which collection if there is no name; all namespaces if there is no namespace. */
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
  // A name that could step up or aside in the path is no name of an object.
  for (const part of parts) {
    if (!/^[A-Za-z0-9](?!.*\.\.)[-A-Za-z0-9_.:]*$/.test(part))
      throw new TypeError(`${JSON.stringify(part)} is no part of an API path`);
  }
  return `/${parts.join("/")}`;
}

/** An object as the API gives it; only what every object has is known. */
export interface RawObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; resourceVersion?: string; [field: string]: unknown };
  [field: string]: unknown;
}
