import { type Position, TscError } from '../core/index.ts';

/** A here-document attached to an instruction: `<<EOF … EOF`. */
export interface Heredoc {
  /** Delimiter word without quotes; the file name when the document is a COPY source. */
  readonly name: string;
  /** Whether variables in the content are expanded (the delimiter was not quoted). */
  readonly expand: boolean;
  readonly content: string;
}

/** One instruction with its continuation lines joined. */
export interface LogicalLine {
  /** Upper-case keyword. */
  readonly keyword: string;
  /** Text behind the keyword, continuation lines joined, comments inside removed. */
  readonly rest: string;
  readonly heredocs: readonly Heredoc[];
  readonly at: Position;
}

export interface Lexed {
  /** Escape character: a backslash or, by directive, a backtick. */
  readonly escapeChar: string;
  readonly directives: ReadonlyMap<string, string>;
  readonly lines: readonly LogicalLine[];
}

const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/;
const KNOWN_DIRECTIVES = new Set(['syntax', 'escape', 'check']);
const HEREDOC = /<<(-?)\s*(?:"([^"\s]+)"|'([^'\s]+)'|([A-Za-z0-9_.-]+))/g;
/** Instructions that take here-documents. */
const TAKES_HEREDOC = new Set(['RUN', 'COPY', 'ADD']);
const MAX_SIZE = 4 << 20;

/** The error of this room: `file:line: message`, with the place repeated in words for every reader. */
export function dockerfileError(at: Position, message: string, hint?: string): TscError {
  return new TscError('dockerfile/invalid', `${at.file}:${at.line}: ${message}`, hint === undefined ? {} : { hint });
}

/** Splits a Dockerfile into logical lines. Throws `dockerfile/invalid`. */
export function lex(text: string, file: string): Lexed {
  if (text.length > MAX_SIZE) throw new TscError('dockerfile/invalid', `${file} is larger than 4 MiB`);
  const rows = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const directives = readDirectives(rows, file);
  const escapeChar = directives.get('escape') ?? '\\';
  const lines: LogicalLine[] = [];
  for (let row = 0; row < rows.length; ) {
    if (isBlankOrComment(rows[row] ?? '')) {
      row++;
      continue;
    }
    const joined = joinContinuations(rows, row, escapeChar);
    const at: Position = { file, line: row + 1, column: 1 };
    const [, keyword = '', rest = ''] = /^\s*(\S+)\s*([\s\S]*)$/.exec(joined.text) ?? [];
    const upper = keyword.toUpperCase();
    const bodies = TAKES_HEREDOC.has(upper)
      ? readHeredocs(rows, joined.next, rest, at)
      : { heredocs: [], next: joined.next };
    lines.push({ keyword: upper, rest: rest.trim(), heredocs: bodies.heredocs, at });
    row = bodies.next;
  }
  return { escapeChar, directives, lines };
}

function isBlankOrComment(row: string): boolean {
  return /^\s*(#.*)?$/.test(row);
}

/** Parser directives stand before everything else, one a line. */
function readDirectives(rows: readonly string[], file: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [index, row] of rows.entries()) {
    const match = DIRECTIVE.exec(row);
    const name = match?.[1]?.toLowerCase();
    if (!match || name === undefined || !KNOWN_DIRECTIVES.has(name)) break;
    const at: Position = { file, line: index + 1, column: 1 };
    if (found.has(name)) throw dockerfileError(at, `the directive ${name} is given twice`);
    found.set(name, match[2] ?? '');
    if (name === 'escape' && !/^[\\`]$/.test(match[2] ?? '')) {
      throw dockerfileError(at, `invalid escape character ${JSON.stringify(match[2])}`, 'it is either \\ or `');
    }
  }
  return found;
}

function joinContinuations(rows: readonly string[], start: number, escapeChar: string): { text: string; next: number } {
  const tail = escapeChar === '`' ? /`[ \t]*$/ : /\\[ \t]*$/;
  let text = '';
  let row = start;
  for (let more = true; more && row < rows.length; row++) {
    const current = rows[row] ?? '';
    // Comment and empty lines inside a continued instruction are skipped, as the classic parser does.
    if (row > start && isBlankOrComment(current)) continue;
    more = tail.test(current);
    text += more ? current.replace(tail, '') : current;
  }
  return { text, next: row };
}

function readHeredocs(
  rows: readonly string[],
  start: number,
  rest: string,
  at: Position,
): { heredocs: Heredoc[]; next: number } {
  const heredocs: Heredoc[] = [];
  let row = start;
  // An exec form (`["sh", "<<x"]`) has no documents.
  const words = rest.trimStart().startsWith('[') ? '' : rest;
  for (const [, dash, double, single, bare] of words.matchAll(HEREDOC)) {
    const name = double ?? single ?? bare ?? '';
    const body: string[] = [];
    const strip = (line: string) => (dash ? line.replace(/^\t+/, '') : line);
    while (row < rows.length && strip(rows[row] ?? '') !== name) body.push(strip(rows[row++] ?? ''));
    if (row >= rows.length)
      throw dockerfileError(at, `the here-document ${name} is not closed`, `end it with a line ${name}`);
    row++;
    heredocs.push({ name, expand: bare !== undefined, content: body.map((line) => `${line}\n`).join('') });
  }
  return { heredocs, next: row };
}
