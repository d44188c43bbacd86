/** A network function: a folder under `src/functions/`. Its name is its folder, object, program (`weir_NAME`) and map prefix. */
export interface NetworkFunction {
  name: string;
  kind: "standard" | "transparent";
  /** One line for `weir explain` and the docs. */
  summary: string;
  /** Maps whose rows are given; each is owned by this function alone. */
  tables: readonly string[];
  /** Maps that its program fills, keyed by instance alone; the rows go with their instance. */
  state?: readonly string[];
}
