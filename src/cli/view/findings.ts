import { formatFindings } from '../../compose/index.ts';
import type { Diagnostic } from '../../core/index.ts';
import type { Output } from '../output.ts';
import { printable } from './printable.ts';

interface Findings {
  readonly diagnostics: readonly Diagnostic[];
  readonly sources: ReadonlyMap<string, string>;
}

/**
 * How findings are told: as text beside the result, or, for tools, as one JSON document. That is the result itself when
 * nothing else is printed.
 */
export function findingsReport(
  output: Output,
  format: 'yaml' | 'json',
  isResult: boolean,
): (findings: Findings) => Promise<void> {
  return async ({ diagnostics, sources }) => {
    if (format === 'json' && isResult) await output.write(findingsAsJson(diagnostics));
    else if (diagnostics.length === 0) return;
    else if (format === 'json') await output.writeError(findingsAsJson(diagnostics));
    else output.note(printable(formatFindings(diagnostics, sources)));
  };
}

/** `{valid, diagnostics: [{code, severity, message, file, line, column, length, hint}]}`; codes are stable. */
export function findingsAsJson(diagnostics: readonly Diagnostic[]): string {
  const valid = diagnostics.every(({ severity }) => severity !== 'error');
  const rows = diagnostics.map(({ code, severity, message, at, hint }) => ({ code, severity, message, ...at, hint }));
  return `${JSON.stringify({ valid, diagnostics: rows }, undefined, 2)}\n`;
}
