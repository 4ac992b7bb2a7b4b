/** One thing measured: how often, how it is prepared, and what is timed. Times are milliseconds. */
export interface Measure {
  readonly name: string;
  /** Does the work once for a contender and returns its measure: milliseconds, or another unit when `unit` says so. */
  readonly once: (contender: string) => Promise<number>;
  readonly unit?: string;
  readonly rounds?: number;
  /** More is better: the ratio is turned round. */
  readonly moreIsBetter?: boolean;
}

export interface Result {
  readonly measure: string;
  readonly contender: string;
  readonly unit: string;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  readonly rounds: number;
  /** Ours divided by this contender's median (for more-is-better: the other way round); below 1 we are ahead. */
  readonly ratio: number;
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

/**
 * Runs every contender in turn, A B A B …, one unmeasured round first, so that drift of the machine hits all alike.
 * The first contender is ours; ratios are against it, in this run only.
 */
export async function runMeasure(measure: Measure, contenders: readonly string[]): Promise<Result[]> {
  const rounds = measure.rounds ?? 10;
  const samples = new Map(contenders.map((name) => [name, [] as number[]]));
  for (let round = -1; round < rounds; round++) {
    for (const name of contenders) {
      const value = await measure.once(name);
      if (round >= 0) samples.get(name)?.push(value);
    }
  }
  const ours = median(samples.get(contenders[0] ?? '') ?? []);
  return contenders.map((contender) => {
    const sorted = (samples.get(contender) ?? []).toSorted((a, b) => a - b);
    const middle = median(sorted);
    return {
      measure: measure.name,
      contender,
      unit: measure.unit ?? 'ms',
      median: middle,
      p10: quantile(sorted, 0.1),
      p90: quantile(sorted, 0.9),
      rounds,
      ratio: measure.moreIsBetter ? middle / ours : ours / middle,
    };
  });
}

function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

/** Milliseconds that a piece of work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A table for people. */
export function formatResults(results: readonly Result[]): string {
  const rows = results.map((row) => [
    row.measure,
    row.contender,
    `${row.median.toFixed(1)} ${row.unit}`,
    `${row.p10.toFixed(1)}–${row.p90.toFixed(1)}`,
    row.ratio === 1 ? '' : `ours/peer ${row.ratio.toFixed(3)}`,
  ]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
