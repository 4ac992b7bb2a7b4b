import { basename } from 'node:path/posix';
import { type DiagnosticCollector, describeError, type Position } from '../core/index.ts';
import { canonicalise } from './canonicalise.ts';
import { checkShape } from './check-shape.ts';
import { interpolate, keepTemplates } from './interpolate.ts';
import type { Journal } from './journal.ts';
import type { LoadBudget } from './load-budget.ts';
import type { Mapping } from './node.ts';
import { parse } from './parse.ts';
import type { Origin, RemoteFiles } from './remote/remote-files.ts';
import type { Source, SourceReader } from './source.ts';
import type { Lookup } from './template.ts';

/** What all stages of one load share. */
export interface LoadContext {
  readonly reader: SourceReader;
  readonly remote: RemoteFiles | undefined;
  /** Of the files read next. */
  readonly origin?: Origin | undefined;
  readonly findings: DiagnosticCollector;
  /** Text of every file read, by path. */
  readonly sources: Map<string, string>;
  readonly journal: Journal;
  readonly budget: LoadBudget;
  /** Variables for interpolation. */
  readonly lookup: Lookup;
  /** Without what included files bring in their env files. */
  readonly caller: Lookup;
  /** False: templates stay as they are written. */
  readonly expands: boolean;
  /** Names of unset variables already warned about. */
  readonly warned: Set<string>;
  /** Extended files already loaded, by path; per set of variables. */
  readonly layers: Map<string, Promise<readonly Mapping[] | undefined>>;
  /** For `~`. */
  readonly home: string | undefined;
}

/** Largest file taken; real ones stay far below. */
const MAX_BYTES = 4 << 20;

/** Reads a file as text; undefined after a problem, which is reported at `from`. */
export async function readSource(
  file: string,
  base: string,
  from: Position | undefined,
  context: Pick<LoadContext, 'reader' | 'findings' | 'sources' | 'budget'> &
    Partial<Pick<LoadContext, 'lookup' | 'origin'>>,
): Promise<Source | undefined> {
  const fail = (code: string, message: string, hint?: string) => {
    context.findings.add({
      code,
      severity: 'error',
      message,
      ...(from && { at: from }),
      ...(hint !== undefined && { hint }),
    });
    return undefined;
  };
  if (context.budget.isSpent) return undefined;
  let content: Uint8Array | string | undefined;
  try {
    content = await context.reader.read(file);
  } catch (error) {
    return fail('compose/unreadable-file', `cannot read ${file}: ${describeError(error)}`);
  }
  if (content === undefined) return fail('compose/no-file', `${file} does not exist`, await pathHint(file, context));
  if (content.length > MAX_BYTES) return fail('compose/too-large', `${file} is larger than ${MAX_BYTES >> 20} MiB`);
  if (!context.budget.takeText(content.length, from)) return undefined;
  const text = typeof content === 'string' ? content : decode(content);
  if (text === undefined) return fail('compose/not-utf8', `${file} is not UTF-8 text`, 'save it as UTF-8');
  const plain = text.startsWith('\uFEFF') ? text.slice(1) : text;
  context.sources.set(file, plain);
  const nul = plain.indexOf('\0');
  if (nul >= 0) {
    const line = plain.slice(0, nul).split('\n').length;
    return fail('compose/not-text', `${file} contains a NUL byte on line ${line}`);
  }
  const { lookup, origin } = context;
  return { file, text: plain, base, ...(lookup && { lookup }), ...(origin && { origin }) };
}

/** The other spelling of the ending is the usual mistake. */
async function pathHint(file: string, { reader }: Pick<LoadContext, 'reader'>): Promise<string> {
  const other = file.endsWith('.yml') ? file.replace(/yml$/, 'yaml') : file.replace(/\.yaml$/, '.yml');
  const there = other !== file && (await reader.read(other).catch(() => undefined)) !== undefined;
  return there ? `did you mean ${basename(other)}?` : 'check the path';
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Stages 2 to 4 on the documents of one source. */
export function prepare(documents: readonly Mapping[], context: LoadContext): Mapping[] {
  return documents.flatMap((document) => {
    if (!context.budget.takeTree(document, document)) return [];
    const expanded = context.expands ? interpolate(document, context) : keepTemplates(document);
    checkShape(expanded, context.findings);
    return [canonicalise(expanded, context.findings, context.budget)];
  });
}

/** Stages 1 to 4 on a file. */
export async function loadLayer(
  file: string,
  base: string,
  from: Position | undefined,
  context: LoadContext,
): Promise<readonly Mapping[] | undefined> {
  const source = await readSource(file, base, from, context);
  return source && prepare(await parse(source, context.findings), context);
}
