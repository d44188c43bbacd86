/** Items by the resources that they depend on, to find what a changed resource affects. */
export class Dependents {
  readonly #byResource = new Map<string, Set<string>>();
  readonly #byItem = new Map<string, readonly string[]>();

  /** Replaces the resources that an item depends on; none: removes the item. */
  set(item: string, resources: Iterable<string>): void {
    for (const resource of this.#byItem.get(item) ?? []) this.#remove(resource, item);
    const now = [...new Set(resources)];
    if (now.length === 0) {
      this.#byItem.delete(item);
      return;
    }
    this.#byItem.set(item, now);
    for (const resource of now) {
      const items = this.#byResource.get(resource);
      if (items) items.add(item);
      else this.#byResource.set(resource, new Set([item]));
    }
  }

  of(resource: string): Iterable<string> {
    return this.#byResource.get(resource) ?? [];
  }

  has(resource: string): boolean {
    return this.#byResource.has(resource);
  }

  #remove(resource: string, item: string): void {
    const items = this.#byResource.get(resource);
    items?.delete(item);
    if (items?.size === 0) this.#byResource.delete(resource);
  }
}
