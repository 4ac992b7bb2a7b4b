import type { Node } from './node.ts';

/** Whether two trees say the same, places aside; the order of keys does not count. */
export function nodesEqual(a: Node, b: Node): boolean {
  if (a === b) return true;
  if (a.kind === 'scalar') return b.kind === 'scalar' && a.value === b.value && a.source.base === b.source.base;
  if (a.kind === 'list') {
    return (
      b.kind === 'list' &&
      a.items.length === b.items.length &&
      a.items.every((item, index) => {
        const other = b.items[index];
        return other !== undefined && nodesEqual(item, other);
      })
    );
  }
  if (b.kind !== 'map' || a.entries.size !== b.entries.size) return false;
  return a.entries.entries().every(([key, entry]) => {
    const other = b.entries.get(key);
    return other !== undefined && nodesEqual(entry.value, other.value);
  });
}
