import { compileGlob, type Glob } from './glob.ts';

/** Decides over paths of a build context: relative, `/` between parts, no leading slash. */
export interface IgnoreMatcher {
  /** Whether the path is left out. A path below one that is left out is too, unless a later `!` pattern takes it back. */
  isIgnored(path: string): boolean;
  /** Whether something below an ignored directory may be taken back; if not, the walk need not enter it. */
  mayReinclude(directory: string): boolean;
}

interface Pattern {
  readonly negated: boolean;
  readonly whole: Glob;
  /** One glob per part; undefined for `**`. */
  readonly parts: readonly (Glob | undefined)[];
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
        if (pattern.negated === ignored && lineage.some((item) => pattern.whole(item))) ignored = !pattern.negated;
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
    if (!expression(part)) return false;
  }
  return true;
}

function compile(text: string): Pattern {
  const negated = text.startsWith('!');
  const body = negated ? text.slice(1) : text;
  return {
    negated,
    whole: compileGlob(body),
    parts: body.split('/').map((part) => (part.includes('**') ? undefined : compileGlob(part))),
  };
}
