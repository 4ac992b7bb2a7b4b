import type { Entry, Node } from './node.ts';

/**
 * `<<`: what is written in the mapping itself wins, then earlier sources over later ones. Returns a source that is no
 * mapping; what comes after it is left out.
 */
export function mergeKey(entries: Map<string, Entry>, value: Node): Node | undefined {
  const sources = value.kind === 'list' ? value.items : [value];
  for (const source of sources) {
    if (source.kind !== 'map') return source;
    for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
  }
  return undefined;
}
