/** What the short form of a mount says. */
export interface MountSpec {
  readonly type: 'bind' | 'volume';
  readonly source?: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly nocopy: boolean;
  readonly propagation?: string;
  readonly selinux?: string;
  readonly subpath?: string;
  /** Options nobody knows; the reference ignores them. */
  readonly unknown: readonly string[];
}

const PROPAGATIONS = new Set(['shared', 'rshared', 'slave', 'rslave', 'private', 'rprivate']);
/** Hints for file sharing on a Mac; they mean nothing here. */
const CONSISTENCIES = new Set(['consistent', 'cached', 'delegated']);

/** Parses `[source:]target[:options]`. Returns why the text is refused otherwise. Colons inside `${…}` part nothing. */
export function parseMount(
  text: string,
  { hasTemplates = false }: { readonly hasTemplates?: boolean } = {},
): MountSpec | { readonly problem: string } {
  const parts = hasTemplates ? (text.match(/(?:\$\{[^}]*\}|[^:])+/g) ?? []) : splitParts(text);
  if (parts.length > 3) return { problem: 'it has too many colons; use the long form for paths with colons' };
  if (parts.some((part) => part === '')) return { problem: 'a part between the colons is empty' };
  const [first = '', second, third = ''] = parts;
  if (second === undefined) return { type: 'volume', target: first, readOnly: false, nocopy: false, unknown: [] };
  const options = third === '' ? [] : third.split(',');
  const find = (set: ReadonlySet<string>) => options.findLast((option) => set.has(option));
  const propagation = find(PROPAGATIONS);
  const selinux = find(new Set(['z', 'Z']));
  const subpath = options.findLast((option) => option.startsWith('volume-subpath='))?.slice('volume-subpath='.length);
  return {
    type: isPath(first) ? 'bind' : 'volume',
    source: first,
    target: second,
    readOnly: find(new Set(['ro', 'rw'])) === 'ro',
    nocopy: options.includes('nocopy'),
    ...(propagation !== undefined && { propagation }),
    ...(selinux !== undefined && { selinux }),
    ...(subpath !== undefined && { subpath }),
    unknown: options.filter((option) => !isKnown(option)),
  };
}

function isKnown(option: string): boolean {
  const known = ['ro', 'rw', 'nocopy', 'z', 'Z', ''].includes(option) || option.startsWith('volume-subpath=');
  return known || PROPAGATIONS.has(option) || CONSISTENCIES.has(option);
}

/** Splits at colons, but not after a drive letter. */
function splitParts(text: string): string[] {
  const parts: string[] = [];
  for (const piece of text.split(':')) {
    const last = parts.at(-1);
    if (last !== undefined && /^[a-zA-Z]$/.test(last) && /^[\\/]/.test(piece))
      parts[parts.length - 1] = `${last}:${piece}`;
    else parts.push(piece);
  }
  return parts;
}

/** Whether a mount source is a host path rather than a volume's name. */
export function isPath(source: string): boolean {
  return /^[./~]/.test(source) || isWindowsPath(source);
}

/** `C:\…` or `\\server\…`. */
export function isWindowsPath(source: string): boolean {
  return /^[a-zA-Z]:[\\/]|^\\\\/.test(source);
}
