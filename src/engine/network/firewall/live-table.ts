/** A table as nft lists it, or as we write it: the same whoever wrote it. */
export interface TableText {
  /** By name. */
  readonly sets: ReadonlyMap<string, SetText>;
  /** Lines of every chain, by name; a hook is the first of them. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
}

interface SetText {
  readonly kind: 'set' | 'map';
  /** Type and flags. */
  readonly declaration: readonly string[];
  readonly elements: readonly string[];
}

const BLOCK = /^\t(set|map|chain) (\w+) \{\n((?:\t\t.*\n)*)\t\}\n+/;
const ELEMENTS = /^elements = \{ ([^}]*) \}$/m;

/** nft writes numbers of protocols as names where the host has a list of them. */
function unnamed(line: string): string {
  return line.replace('l4proto ipv6-icmp', 'l4proto 58');
}

function linesOf(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
}

function setOf(kind: 'set' | 'map', text: string): SetText {
  const body = linesOf(text).join('\n');
  const elements = ELEMENTS.exec(body)?.[1]?.replaceAll('\n', ' ');
  return {
    kind,
    declaration: linesOf(body.replace(ELEMENTS, '')),
    elements: elements?.split(', ') ?? [],
  };
}

/** Reads the text of one table; undefined when anything stands in it that we never write (flags of the table, other objects). Pure. */
export function parseTable(text: string): TableText | undefined {
  const sets = new Map<string, SetText>();
  const chains = new Map<string, readonly string[]>();
  const [, inside] = /^table inet \w+ \{\n([\s\S]*)^\}\n$/m.exec(text) ?? [];
  if (inside === undefined) return undefined;
  let left = inside;
  for (let block = BLOCK.exec(left); block; block = BLOCK.exec(left)) {
    const [all, kind, name = '', body = ''] = block;
    if (kind === 'set' || kind === 'map') sets.set(name, setOf(kind, body));
    else chains.set(name, linesOf(body).map(unnamed));
    left = left.slice(all.length);
  }
  return left === '' ? { sets, chains } : undefined;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.join('\n') === b.join('\n');
}

/** Names of the first that the second has not. */
function without(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): readonly string[] {
  return [...a.keys()].filter((name) => !b.has(name));
}

function block(head: string, lines: readonly string[]): string {
  return `\t${head} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}\n`;
}

function setBlock(name: string, { kind, declaration, elements }: SetText): string {
  const list = elements.length > 0 ? [`elements = { ${elements.join(', ')} }`] : [];
  return block(`${kind} ${name}`, [...declaration, ...list]);
}

/** Changes to the elements of sets that both have. */
function changeElements(table: string, live: TableText, wanted: TableText): string {
  const lines = (verb: string, from: TableText, to: TableText) =>
    [...from.sets].flatMap(([name, { elements }]) => {
      const known = new Set(to.sets.get(name)?.elements);
      const more = to.sets.has(name) ? elements.filter((element) => !known.has(element)) : [];
      return more.length > 0 ? [`${verb} element inet ${table} ${name} { ${more.join(', ')} }\n`] : [];
    });
  return [...lines('delete', live, wanted), ...lines('add', wanted, live)].join('');
}

function changeChains(table: string, live: TableText, wanted: TableText): string {
  const isSame =
    live.chains.size === wanted.chains.size &&
    [...wanted.chains].every(([name, lines]) => same(lines, live.chains.get(name) ?? []));
  if (isSame) return '';
  const gone = without(live.chains, wanted.chains).map((name) => `delete chain inet ${table} ${name}\n`);
  const chains = [...wanted.chains].map(([name, lines]) => block(`chain ${name}`, lines));
  return `flush table inet ${table}\n${gone.join('')}table inet ${table} {\n${chains.join('')}}\n`;
}

/**
 * The transactions, often none, that make a standing table be the wanted one without a packet lost; undefined when it takes a new
 * table. With a new one the kernel uses the new rules some hundred microseconds before the new sets of intervals have their
 * elements. So sets that are new come first, with nothing that refers to them; rules change at once, and of the sets that stay
 * only elements that differ. Pure.
 */
export function renderTransition(table: string, live: TableText, wanted: TableText): readonly string[] | undefined {
  for (const [name, set] of wanted.sets) {
    const standing = live.sets.get(name);
    if (standing && (standing.kind !== set.kind || !same(standing.declaration, set.declaration))) return undefined;
  }
  const fresh = [...wanted.sets].filter(([name]) => !live.sets.has(name)).map(([name, set]) => setBlock(name, set));
  const gone = without(live.sets, wanted.sets).map((name) => `delete set inet ${table} ${name}\n`);
  return [
    fresh.length > 0 ? `table inet ${table} {\n${fresh.join('')}}\n` : '',
    changeChains(table, live, wanted) + gone.join('') + changeElements(table, live, wanted),
  ].filter((script) => script !== '');
}
