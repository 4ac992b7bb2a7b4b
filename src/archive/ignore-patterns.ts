import { TscError } from '../core/index.ts';

/** Decides over paths of a build context: relative, `/` between parts, no leading slash. */
export interface IgnoreMatcher {
  /** Whether the path is left out. A path below one that is left out is too, unless a later `!` pattern takes it back. */
  isIgnored(path: string): boolean;
  /** Whether something below an ignored directory may be taken back; if not, the walk need not enter it. */
  mayReinclude(directory: string): boolean;
}

interface Pattern {
  readonly negated: boolean;
  readonly whole: RegExp;
  /** One expression per part; undefined for `**`. */
  readonly parts: readonly (RegExp | undefined)[];
}

/** Patterns of a .dockerignore file: comments and empty lines dropped, each line trimmed and cleaned as a path. */
export function parseIgnoreFile(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(cleanPattern)
    .filter((pattern) => pattern !== '' && pattern !== '!');
}

/** `!` kept, then `//`, `.` and `..` resolved as in a rooted path and the leading slash dropped. */
function cleanPattern(line: string): string {
  const negated = line.startsWith('!');
  const parts: string[] = [];
  for (const part of (negated ? line.slice(1).trim() : line).split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return (negated ? '!' : '') + parts.join('/');
}

/**
 * Compiles patterns in their order; the last one that matches a path or one of its parents decides. `*` and `?` stay
 * within a part, `**` spans parts, `[a-z]` and `\` work as in a shell. Throws `archive/invalid` for a malformed pattern.
 */
export function compileIgnorePatterns(patterns: readonly string[]): IgnoreMatcher {
  const compiled = patterns
    .map(cleanPattern)
    .filter((text) => text !== '' && text !== '!')
    .map(compile);
  const negations = compiled.filter((pattern) => pattern.negated);
  return {
    isIgnored: (path) => {
      const lineage = withParents(path);
      let ignored = false;
      for (const pattern of compiled) {
        // Only a pattern that would change the verdict needs to be tried.
        if (pattern.negated === ignored && lineage.some((item) => pattern.whole.test(item))) ignored = !pattern.negated;
      }
      return ignored;
    },
    mayReinclude: (directory) => negations.some((pattern) => mayMatchBelow(pattern, directory.split('/'))),
  };
}

function withParents(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

function mayMatchBelow(pattern: Pattern, directory: readonly string[]): boolean {
  for (const [index, part] of directory.entries()) {
    if (index >= pattern.parts.length) return true;
    const expression = pattern.parts[index];
    if (expression === undefined) return true;
    if (!expression.test(part)) return false;
  }
  return true;
}

function compile(text: string): Pattern {
  const negated = text.startsWith('!');
  const body = negated ? text.slice(1) : text;
  try {
    return {
      negated,
      whole: toRegExp(body),
      parts: body.split('/').map((part) => (part.includes('**') ? undefined : toRegExp(part))),
    };
  } catch (error) {
    if (error instanceof TscError) throw error;
    throw malformed(text, error);
  }
}

function malformed(text: string, cause?: unknown): TscError {
  return new TscError('archive/invalid', `malformed ignore pattern ${JSON.stringify(text)}`, {
    cause,
    hint: 'close every [ with ] and put nothing after a trailing backslash',
  });
}

function toRegExp(pattern: string): RegExp {
  let source = '';
  let rest = pattern;
  while (rest !== '') {
    const token = nextToken(rest);
    if (token === undefined) throw malformed(pattern);
    source += token.source;
    rest = rest.slice(token.length);
  }
  return new RegExp(`^${source}$`, 'su');
}

function nextToken(rest: string): { readonly source: string; readonly length: number } | undefined {
  const stars = /^\*\*+/.exec(rest)?.[0].length ?? 0;
  if (stars > 0) {
    // `**/` also matches no part at all; at the end it matches everything below.
    const slash = rest[stars] === '/' ? 1 : 0;
    return { source: stars + slash === rest.length ? '.*' : '(?:.*/)?', length: stars + slash };
  }
  if (rest.startsWith('*')) return { source: '[^/]*', length: 1 };
  if (rest.startsWith('?')) return { source: '[^/]', length: 1 };
  if (rest.startsWith('[')) return classToken(rest);
  if (rest.startsWith('\\')) {
    const next = [...rest.slice(1)][0];
    return next === undefined ? undefined : { source: RegExp.escape(next), length: 1 + next.length };
  }
  const plain = /^[^*?[\\]+/.exec(rest)?.[0] ?? '';
  return { source: RegExp.escape(plain), length: plain.length };
}

function classToken(rest: string): { readonly source: string; readonly length: number } | undefined {
  const match = /^\[(\^?)((?:\\.|[^\]\\])+)\]/su.exec(rest);
  if (!match) return undefined;
  const ranges = (match[2] ?? '').replace(/\\(.)|([[\]&~^|])/gsu, (_, escaped?: string, special?: string) =>
    escaped === undefined ? `\\${special}` : /[a-zA-Z0-9]/.test(escaped) ? escaped : `\\${escaped}`,
  );
  return { source: `[${match[1] ?? ''}${ranges}]`, length: match[0].length };
}
