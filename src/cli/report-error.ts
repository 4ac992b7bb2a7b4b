import { ComposeError, formatFindings, type LoadResult } from '../compose/index.ts';
import { describeError, TscError } from '../core/index.ts';
import type { Output } from './output.ts';
import { printable } from './view/printable.ts';

/**
 * Prints an error once: findings of the files with their excerpts, so too what is about a part of the loaded files, everything else as
 * message and hint.
 */
export function reportError(error: unknown, output: Output, loaded?: Pick<LoadResult, 'locate' | 'sources'>): void {
  if (error instanceof ComposeError) {
    output.note(printable(formatFindings(error.diagnostics, error.sources)));
    return;
  }
  if (!(error instanceof TscError)) {
    output.note(
      `tscompose: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    output.note('  hint: this is a bug; please report it with the lines above');
    return;
  }
  const at = error.subject && loaded?.locate(error.subject);
  if (loaded && at) {
    const hint = error.hint?.replaceAll('\n', '\n  ');
    const finding = {
      code: error.code,
      severity: 'error',
      message: describeError(error),
      at,
      ...(hint && { hint }),
    } as const;
    output.note(printable(formatFindings([finding], loaded.sources)));
    return;
  }
  output.note(`${output.style('red', 'tscompose:')} ${printable(describeError(error))}`);
  if (error.hint) output.note(`  hint: ${printable(error.hint).replaceAll('\n', '\n  ')}`);
}
