/** Rules found by the path of a value: `services.*.ports`; `*` is any key, `[]` any item. */
export interface PathTable<T> {
  readonly rule?: T;
  readonly below: ReadonlyMap<string, PathTable<T>>;
}

interface Building<T> {
  rule?: T;
  below: Map<string, Building<T>>;
}

/** Builds the lookup tree of a rule list. A path listed twice is a mistake and throws. */
export function pathTable<T>(rows: readonly (readonly [path: string, rule: T])[]): PathTable<T> {
  const root: Building<T> = { below: new Map() };
  for (const [path, rule] of rows) {
    let at = root;
    for (const segment of path.replaceAll('[]', '.[]').split('.')) {
      let next = at.below.get(segment);
      if (!next) {
        next = { below: new Map() };
        at.below.set(segment, next);
      }
      at = next;
    }
    if (at.rule !== undefined) throw new RangeError(`two rules for ${path}`);
    at.rule = rule;
  }
  return root;
}

/** One step down; undefined when no rule lies there or below. Where users choose the keys, an `x-` name is one like any other. */
export function stepDown<T>(table: PathTable<T> | undefined, key: string): PathTable<T> | undefined {
  return table?.below.get(key) ?? table?.below.get('*');
}

/** One step into the items of a list. */
export function stepIntoItems<T>(table: PathTable<T> | undefined): PathTable<T> | undefined {
  return table?.below.get('[]');
}
