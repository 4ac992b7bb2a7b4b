import { type Diagnostic, formatDiagnostic, TscError } from '../core/index.ts';

/** Why a load failed: every finding of the run, errors and warnings, in the order of files and lines. */
export class ComposeError extends TscError {
  readonly diagnostics: readonly Diagnostic[];
  /** Text of every file that was read, by path; for excerpts. */
  readonly sources: ReadonlyMap<string, string>;

  constructor(diagnostics: readonly Diagnostic[], sources: ReadonlyMap<string, string>) {
    const errors = diagnostics.filter((item) => item.severity === 'error');
    const first = errors[0];
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    const place = first?.at ? `${first.at.file}:${first.at.line}:${first.at.column}: ` : '';
    super(
      first?.code === 'compose/no-file' ? 'compose/not-found' : 'compose/invalid',
      `${place}${first?.message ?? 'invalid compose file'}${more}`,
      first?.hint === undefined ? {} : { hint: first.hint },
    );
    this.name = 'ComposeError';
    this.diagnostics = diagnostics;
    this.sources = sources;
  }
}

/** All findings as terminal text with excerpts, one block each, no newline at the end. */
export function formatFindings(diagnostics: readonly Diagnostic[], sources: ReadonlyMap<string, string>): string {
  return diagnostics
    .map((item) => formatDiagnostic(item, item.at === undefined ? undefined : sources.get(item.at.file)))
    .join('\n');
}
