/** Looks a variable up; undefined: not set. */
export type Lookup = (name: string) => string | undefined;

/** Why a template cannot be expanded. */
export interface TemplateError {
  /** `syntax`: not a template; `required`: `${NAME:?message}` met an unset variable; `limit`: too deep or too long. */
  readonly kind: 'syntax' | 'required' | 'limit';
  readonly message: string;
  /** The offending part of the template. */
  readonly excerpt: string;
}

/** The expanded text and the variables that were neither set nor defaulted. */
export type Expansion =
  | { readonly value: string; readonly unset: readonly { readonly name: string; readonly excerpt: string }[] }
  | { readonly error: TemplateError };

const MAX_DEPTH = 32;
const MAX_LENGTH = 1 << 20;
const NAME = /[_a-zA-Z][_a-zA-Z0-9]*/y;

class Failure extends Error {
  readonly error: TemplateError;
  constructor(error: TemplateError) {
    super(error.message);
    this.error = error;
  }
}

/**
 * Expands `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`, `${NAME?message}`,
 * `${NAME:+alternate}`, `${NAME+alternate}`, nested at will, and `$$` to `$`. Values of variables are not expanded again.
 */
export function expandTemplate(template: string, lookup: Lookup): Expansion {
  if (!template.includes('$')) return { value: template, unset: [] };
  const unset: { name: string; excerpt: string }[] = [];
  try {
    return { value: expand(template, { lookup, unset, depth: 0 }), unset };
  } catch (error) {
    if (error instanceof Failure) return { error: error.error };
    throw error;
  }
}

interface Context {
  readonly lookup: Lookup;
  readonly unset: { name: string; excerpt: string }[];
  readonly depth: number;
}

function expand(template: string, context: Context): string {
  if (context.depth > MAX_DEPTH) {
    const message = `the template is nested deeper than ${MAX_DEPTH} levels`;
    throw new Failure({ kind: 'limit', message, excerpt: template.slice(0, 60) });
  }
  let out = '';
  let at = 0;
  while (true) {
    const dollar = template.indexOf('$', at);
    out += template.slice(at, dollar < 0 ? undefined : dollar);
    if (out.length > MAX_LENGTH) {
      throw new Failure({ kind: 'limit', message: 'the expanded text is longer than 1 MiB', excerpt: '' });
    }
    if (dollar < 0) return out;
    const next = template[dollar + 1];
    if (next === '$') {
      out += '$';
      at = dollar + 2;
    } else if (next === '{') {
      const end = closingBrace(template, dollar);
      out += expandBraced(template.slice(dollar, end + 1), context);
      at = end + 1;
    } else {
      const name = nameAt(template, dollar + 1);
      // A dollar before anything else stands for itself, as in a price.
      out += name === '' ? '$' : variable(name, `$${name}`, context);
      at = dollar + 1 + name.length;
    }
  }
}

function nameAt(text: string, at: number): string {
  NAME.lastIndex = at;
  return NAME.exec(text)?.[0] ?? '';
}

function closingBrace(template: string, start: number): number {
  let open = 0;
  for (let at = start; at < template.length; at++) {
    if (template.startsWith('${', at)) {
      open++;
      at++;
    } else if (template[at] === '}') {
      open--;
      if (open === 0) return at;
    }
  }
  throw syntaxError(template.slice(start, start + 60), 'the closing } is missing');
}

/** `part` is the whole `${…}`. */
function expandBraced(part: string, context: Context): string {
  const body = part.slice(2, -1);
  const name = nameAt(body, 0);
  if (name === '') throw syntaxError(part);
  const rest = body.slice(name.length);
  if (rest === '') return variable(name, part, context);
  const match = /^(:?)([-?+])([\s\S]*)$/.exec(rest);
  if (!match) throw syntaxError(part, 'only the operators - :- ? :? + :+ are known');
  const [, colon, operator, argument = ''] = match;
  const value = context.lookup(name);
  const present = value !== undefined && (colon === '' || value !== '');
  const inner = () => expand(argument, { ...context, depth: context.depth + 1 });
  if (operator === '+') return present ? inner() : '';
  if (present) return value;
  if (operator === '-') return inner();
  const message = inner();
  throw new Failure({
    kind: 'required',
    message: `the variable ${name} is required${value === '' ? ' and empty' : ' and not set'}${message === '' ? '' : `: ${message}`}`,
    excerpt: part,
  });
}

function variable(name: string, excerpt: string, context: Context): string {
  const value = context.lookup(name);
  if (value !== undefined) return value;
  context.unset.push({ name, excerpt });
  return '';
}

function syntaxError(excerpt: string, why?: string): Failure {
  const shown = JSON.stringify(excerpt.length > 60 ? `${excerpt.slice(0, 60)}…` : excerpt);
  return new Failure({
    kind: 'syntax',
    message: `${shown} is not a variable reference${why === undefined ? '' : `: ${why}`}`,
    excerpt,
  });
}
