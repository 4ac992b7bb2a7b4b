import type { DiagnosticCollector } from '../core/index.ts';

/** Findings that are shown; nobody reads more, and a hostile file could make millions. */
export const MAX_FINDINGS = 200;

/** Whether so much was found that nobody will see another hint; finding one costs time. */
export function isCrowded(findings: DiagnosticCollector): boolean {
  return findings.all.length > MAX_FINDINGS;
}

const MAX_CANDIDATES = 1000;

/** The candidate nearest to what was written, when near enough to be what was meant. */
export function suggest(written: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(written);
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  let best: string | undefined;
  let partial: string | undefined;
  let bestDistance = limit + 1;
  let seen = 0;
  for (const candidate of candidates) {
    // Bounded work: a hostile file has many names and many mistakes.
    if (++seen > MAX_CANDIDATES) break;
    const distance = editDistance(wanted, fold(candidate), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
    // `healthy` for `service_healthy`: a whole word of it.
    if (wanted.length > 3 && fold(candidate).split('_').includes(wanted)) partial ??= candidate;
  }
  return best ?? partial;
}

function fold(text: string): string {
  return text.slice(0, 64).toLowerCase().replaceAll('-', '_');
}

/** Insertions, deletions, replacements and swaps of neighbours; gives up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? limit;
}
