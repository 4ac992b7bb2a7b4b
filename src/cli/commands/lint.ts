import { resolve } from 'node:path';
import { formatFindings, formatSarif, type LintResult, lint, listCodes } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import { writeAtomically } from '../../host/index.ts';
import type { Context } from '../context.ts';
import { VERSION } from '../version.ts';
import { findingsAsJson } from '../view/findings.ts';
import { printable } from '../view/printable.ts';

interface Options {
  readonly format?: string;
  readonly output?: string;
  readonly rule?: readonly string[];
  readonly strict?: boolean;
  readonly codes?: boolean;
}

/** `tscompose lint`: status 1 for errors, with `--strict` for warnings as well. */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  if (options.codes) {
    await context.output.write(codes(options.format));
    return 0;
  }
  const format = FORMATS.get(options.format ?? 'text');
  if (!format) throw unknownFormat(options.format);
  const result = await lint(context.loadOptions(services, 'show'), new Map((options.rule ?? []).map(readRule)));
  const text = format(result, context.currentDirectory);
  if (options.output === undefined) await context.output.write(text);
  else await writeAtomically(resolve(context.currentDirectory, options.output), text, { mode: 0o644 });
  const failing = options.strict
    ? result.diagnostics
    : result.diagnostics.filter(({ severity }) => severity === 'error');
  return failing.length > 0 ? 1 : 0;
}

const FORMATS: ReadonlyMap<string, (result: LintResult, folder: string) => string> = new Map([
  ['text', formatText],
  ['json', ({ diagnostics }: LintResult) => findingsAsJson(diagnostics)],
  ['sarif', ({ diagnostics }: LintResult, folder: string) => formatSarif(diagnostics, folder, VERSION)],
]);

function formatText({ diagnostics, sources }: LintResult): string {
  if (diagnostics.length === 0) return '';
  const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
  const counts = `${errors} errors, ${diagnostics.length - errors} warnings`;
  return `${printable(formatFindings(diagnostics, sources))}\n\n${counts}\n`;
}

function codes(format: string | undefined): string {
  const rows = listCodes();
  if (format === 'json') return `${JSON.stringify(Object.fromEntries(rows), undefined, 2)}\n`;
  const width = Math.max(...rows.map(([code]) => code.length));
  return rows.map(([code, meaning]) => `${code.padEnd(width)}  ${meaning}\n`).join('');
}

function readRule(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new TscError('cli/invalid', `lint --rule ${text} has no level`, {
    hint: 'write name=off, name=warning or name=error',
  });
}

function unknownFormat(format: string | undefined): TscError {
  return new TscError('cli/invalid', `lint --format ${format} is unknown`, {
    hint: `use ${[...FORMATS.keys()].join(', ')}`,
  });
}
