import { TscError } from '../core/index.ts';

/** Whether a whole path matches. */
export type Glob = (path: string) => boolean;

/** A piece of a pattern: `source` as a regular expression, `loop` when it repeats without bound. */
interface Token {
  readonly kind: 'one' | 'star' | 'all' | 'directories';
  readonly source: string;
  readonly length: number;
}

/** With more repetitions than this a regular expression could take for ever. */
const BACKTRACK_LIMIT = 3;

/**
 * Compiles `*` and `?` (within a part), `**` (across parts), `[a-z]`, `[^a-z]` and `\`. Throws `archive/invalid` for a
 * malformed pattern. Matching takes time in proportion to pattern and path, whatever the pattern.
 */
export function compileGlob(pattern: string): Glob {
  const tokens = tokenize(pattern);
  try {
    const whole = new RegExp(`^${tokens.map((token) => token.source).join('')}$`, 'su');
    const loops = tokens.filter((token) => token.kind !== 'one').length;
    return loops <= BACKTRACK_LIMIT ? (path) => whole.test(path) : simulate(tokens);
  } catch (error) {
    throw malformed(pattern, error);
  }
}

function malformed(pattern: string, cause?: unknown): TscError {
  return new TscError('archive/invalid', `malformed pattern ${JSON.stringify(pattern)}`, {
    cause,
    hint: 'close every [ with ] and put nothing after a trailing backslash',
  });
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = [];
  for (let rest = pattern; rest !== ''; ) {
    const token = nextToken(rest);
    if (!token) throw malformed(pattern);
    tokens.push(token);
    rest = rest.slice(token.length);
  }
  return tokens;
}

const one = (source: string, length: number): Token => ({ kind: 'one', source, length });

function nextToken(rest: string): Token | undefined {
  const stars = /^\*\*+/.exec(rest)?.[0].length ?? 0;
  if (stars > 0) {
    // `**/` also matches no part at all; at the end it matches everything below.
    const length = stars + (rest[stars] === '/' ? 1 : 0);
    return length === rest.length
      ? { kind: 'all', source: '.*', length }
      : { kind: 'directories', source: '(?:.*/)?', length };
  }
  if (rest.startsWith('*')) return { kind: 'star', source: '[^/]*', length: 1 };
  if (rest.startsWith('?')) return one('[^/]', 1);
  if (rest.startsWith('[')) return classToken(rest);
  const escaped = rest.startsWith('\\');
  const [character] = [...(escaped ? rest.slice(1) : rest)];
  if (character === undefined) return undefined;
  return one(RegExp.escape(character), character.length + (escaped ? 1 : 0));
}

function classToken(rest: string): Token | undefined {
  const match = /^\[(\^?)((?:\\.|[^\]\\])+)\]/su.exec(rest);
  if (!match) return undefined;
  const ranges = (match[2] ?? '').replace(/\\(.)|([[\]&~^|])/gsu, (_, escaped?: string, special?: string) =>
    escaped === undefined ? `\\${special}` : /[a-zA-Z0-9]/.test(escaped) ? escaped : `\\${escaped}`,
  );
  return one(`[${match[1] ?? ''}${ranges}]`, match[0].length);
}

/** One state of the automaton: what it consumes, whether it stays, and where it may go on without consuming. */
interface State {
  readonly accepts: RegExp | undefined;
  readonly stays: boolean;
  readonly free: readonly number[];
}

/** Follows all possible positions in the pattern at once instead of trying them one after the other. */
function simulate(tokens: readonly Token[]): Glob {
  const states: State[] = [];
  for (const token of tokens) {
    const at = states.length;
    if (token.kind === 'one') states.push({ accepts: new RegExp(token.source, 'su'), stays: false, free: [] });
    else if (token.kind === 'star') states.push({ accepts: /[^/]/su, stays: true, free: [at + 1] });
    else if (token.kind === 'all') states.push({ accepts: /./su, stays: true, free: [at + 1] });
    else
      states.push(
        { accepts: undefined, stays: false, free: [at + 1, at + 3] },
        { accepts: /./su, stays: true, free: [at + 2] },
        { accepts: /\//u, stays: false, free: [] },
      );
  }
  return (path) => {
    let active = close(states, [0]);
    for (const character of path) {
      const next: number[] = [];
      for (const index of active) {
        const state = states[index];
        if (state?.accepts?.test(character)) next.push(state.stays ? index : index + 1);
      }
      active = close(states, next);
    }
    return active.has(states.length);
  };
}

function close(states: readonly State[], start: readonly number[]): Set<number> {
  const active = new Set<number>(start);
  // A set visits what is added while it is walked.
  for (const index of active) for (const next of states[index]?.free ?? []) active.add(next);
  return active;
}
