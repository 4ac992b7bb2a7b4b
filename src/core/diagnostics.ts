/** A place in a text file; line and column count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Length of the marked text in characters; 1 when unknown. */
  readonly length?: number;
}

export type Severity = 'error' | 'warning';

/** One finding about an input file. `code` is stable (`compose/unknown-key`); tests and tools rely on it, not on the text. */
export interface Diagnostic {
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
  readonly at?: Position;
  /** What to do about it, one sentence. */
  readonly hint?: string;
}

/** Where stages put what they find; they go on, the caller decides at the end. */
export class DiagnosticCollector {
  readonly #items: Diagnostic[] = [];

  add(diagnostic: Diagnostic): void {
    this.#items.push(diagnostic);
  }

  get all(): readonly Diagnostic[] {
    return this.#items;
  }

  get hasErrors(): boolean {
    return this.#items.some((item) => item.severity === 'error');
  }
}

/**
 * One finding as terminal text: `file:line:column: error: message [code]`, the source line with a caret when the
 * source text is at hand, and the hint.
 */
export function formatDiagnostic(item: Diagnostic, source?: string): string {
  const place = item.at ? `${item.at.file}:${item.at.line}:${item.at.column}: ` : '';
  const lines = [`${place}${item.severity}: ${item.message} [${item.code}]`];
  const excerpt = item.at && source !== undefined ? drawExcerpt(item.at, source) : undefined;
  if (excerpt) lines.push(...excerpt);
  if (item.hint) lines.push(`  hint: ${item.hint}`);
  return lines.join('\n');
}

function drawExcerpt(at: Position, source: string): string[] | undefined {
  const text = source.split(/\r?\n/, at.line)[at.line - 1];
  if (text === undefined) return undefined;
  const shown = text.slice(0, 160);
  const gutter = String(at.line);
  // Tabs are kept in the padding so that the caret stays below its character.
  const padding = shown.slice(0, at.column - 1).replace(/[^\t]/g, ' ');
  const width = Math.max(1, Math.min(at.length ?? 1, shown.length - at.column + 1));
  return [`  ${gutter} | ${shown}`, `  ${' '.repeat(gutter.length)} | ${padding}${'^'.repeat(width)}`];
}
