import type { Diagnostic } from '../core/index.ts';
import { MAX_FINDINGS } from './suggest.ts';

/** By file in the order of reading, then by line; each once, for a file may take part twice. */
export function orderFindings(all: readonly Diagnostic[], sources: ReadonlyMap<string, string>): Diagnostic[] {
  const ranks = new Map([...sources.keys()].map((file, index) => [file, index]));
  const rank = ({ at }: Diagnostic) => (at ? (ranks.get(at.file) ?? ranks.size) : -1);
  const unique = [...new Map(all.map((item) => [JSON.stringify(item), item])).values()];
  return withLimit(unique).sort(
    (a, b) => rank(a) - rank(b) || (a.at?.line ?? 0) - (b.at?.line ?? 0) || (a.at?.column ?? 0) - (b.at?.column ?? 0),
  );
}

function withLimit(all: Diagnostic[]): Diagnostic[] {
  if (all.length <= MAX_FINDINGS) return all;
  // Errors first: warnings must not push them out.
  const kept = [...all].sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
  const severity = kept[MAX_FINDINGS]?.severity ?? 'warning';
  const message = `${all.length - MAX_FINDINGS} more findings are not shown`;
  return [...kept.slice(0, MAX_FINDINGS), { code: 'compose/more-findings', severity, message }];
}
