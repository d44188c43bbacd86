/** A network function: a folder under `src/functions/`. Its name is its folder, object, program (`weir_NAME`) and map prefix. */
export interface NetworkFunction {
  name: string;
  kind: "standard" | "transparent";
  /** One line for `weir explain` and docs. */
  summary: string;
  /** Maps whose rows the function's items set. Each belongs to one function. */
  tables: readonly string[];
  /** Maps that its program fills, keyed by instance; rows are removed with their instance. */
  state?: readonly string[];
}
