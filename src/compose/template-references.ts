/** One variable that a template names. */
export interface TemplateReference {
  readonly name: string;
  /** `:-`, `-`, `:?`, `?`, `:+`, `+`; absent for a plain reference. */
  readonly operator?: string;
  /** What follows the operator, unexpanded. */
  readonly argument?: string;
  /** Offsets of the whole reference in the template. */
  readonly start: number;
  readonly end: number;
}

const MAX_DEPTH = 32;
const BODY = /^([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[-?+])([\s\S]*))?$/;
const PLAIN = /^\$([_a-zA-Z][_a-zA-Z0-9]*)/;

/** The variables of a template, nested ones after the one that holds them; what is no reference is passed over. */
export function referencesIn(template: string, depth = 0): readonly TemplateReference[] {
  const found: TemplateReference[] = [];
  if (depth > MAX_DEPTH) return found;
  for (let at = template.indexOf('$'); at >= 0; at = template.indexOf('$', at)) {
    const reference = template[at + 1] === '{' ? bracedAt(template, at) : plainAt(template, at);
    if (reference) {
      found.push(reference, ...nestedIn(template, reference, depth));
      at = reference.end;
    } else at += template[at + 1] === '$' ? 2 : 1;
  }
  return found;
}

function nestedIn(template: string, reference: TemplateReference, depth: number): TemplateReference[] {
  const { argument, end } = reference;
  if (argument === undefined || !argument.includes('$')) return [];
  const shift = template.lastIndexOf(argument, end - 1 - argument.length);
  return referencesIn(argument, depth + 1).map((item) => ({
    ...item,
    start: item.start + shift,
    end: item.end + shift,
  }));
}

function plainAt(template: string, start: number): TemplateReference | undefined {
  const name = PLAIN.exec(template.slice(start, start + 256))?.[1];
  return name === undefined ? undefined : { name, start, end: start + 1 + name.length };
}

function bracedAt(template: string, start: number): TemplateReference | undefined {
  const end = closingBrace(template, start);
  const match = end < 0 ? null : BODY.exec(template.slice(start + 2, end - 1));
  if (!match) return undefined;
  const [, name = '', operator, argument] = match;
  return { name, start, end, ...(operator !== undefined && { operator, argument: argument ?? '' }) };
}

/** Offset after the brace that closes the reference, -1 without one. */
function closingBrace(template: string, start: number): number {
  let open = 0;
  for (let at = start; at < template.length; at++) {
    if (template.startsWith('${', at)) {
      open++;
      at++;
    } else if (template[at] === '}' && --open === 0) return at + 1;
  }
  return -1;
}
