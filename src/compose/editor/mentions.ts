import type { Position } from '../../core/index.ts';
import { isPath } from '../mount-codec.ts';
import { child, childText, type Entry, type Mapping, type Node, positionOf, type Span } from '../node.ts';
import { absolutePath } from '../paths.ts';

/** Things that files define by name and refer to. */
export type NamedKind = 'services' | 'networks' | 'volumes' | 'secrets' | 'configs' | 'models';

/** One place where a name is written. */
export interface Mention {
  readonly kind: NamedKind;
  readonly name: string;
  readonly at: Span;
  /** The same as line and column. */
  readonly place: Position;
  readonly isDefinition: boolean;
  /** The file that holds the definition, when the mention says so. */
  readonly inFile?: string;
}

type Found = Omit<Mention, 'place'>;

export const NAMED_KINDS: readonly NamedKind[] = ['services', 'networks', 'volumes', 'secrets', 'configs', 'models'];

/** All definitions and references of a document as it is written, short and long forms. */
export function mentionsIn(tree: Mapping): Mention[] {
  const found: Found[] = [];
  for (const kind of NAMED_KINDS) {
    for (const [name, { key }] of entriesOf(child(tree, kind)))
      found.push({ kind, name, at: nameIn(key, name), isDefinition: true });
  }
  for (const [, { value }] of entriesOf(child(tree, 'services'))) found.push(...inService(value));
  return found.map((mention) => ({ ...mention, place: positionOf(mention.at) }));
}

function inService(service: Node): Found[] {
  const build = child(service, 'build');
  return [
    ...names('services', child(service, 'depends_on')),
    ...items('services', child(service, 'links'), beforeColon),
    ...items('services', child(service, 'volumes_from'), (text) =>
      text.startsWith('container:') ? '' : beforeColon(text),
    ),
    ...['network_mode', 'pid', 'ipc'].flatMap((key) => one('services', child(service, key), afterService)),
    ...[...entriesOf(child(build, 'additional_contexts'))].flatMap(([, { value }]) =>
      one('services', value, afterService),
    ),
    ...inExtends(child(service, 'extends')),
    ...names('networks', child(service, 'networks')),
    ...names('models', child(service, 'models')),
    ...items('volumes', child(service, 'volumes'), volumeName),
    ...(['secrets', 'configs'] as const).flatMap((kind) => items(kind, child(service, kind), (text) => text)),
    ...items('secrets', child(build, 'secrets'), (text) => text),
  ];
}

function inExtends(extension: Node | undefined): Found[] {
  if (extension?.kind === 'scalar') return one('services', extension, (text) => text);
  const file = childText(extension, 'file');
  const found = one('services', child(extension, 'service'), (text) => text);
  if (file === undefined || !extension) return found;
  const inFile = absolutePath(file, extension.source.base, undefined);
  return found.map((mention) => ({ ...mention, inFile }));
}

const beforeColon = (text: string) => text.split(':')[0] ?? '';
const afterService = (text: string) => (text.startsWith('service:') ? text.slice('service:'.length) : '');
const volumeName = (text: string) =>
  text.includes(':') && !isPath(text) && !text.includes('$') ? beforeColon(text) : '';

/** A list of names, or a mapping with names as keys. */
function names(kind: NamedKind, node: Node | undefined): Found[] {
  const keys = [...entriesOf(node)].map(([name, { key }]) => ({
    kind,
    name,
    at: nameIn(key, name),
    isDefinition: false,
  }));
  return [...keys, ...items(kind, node, (text) => text)];
}

/** Items of a list: the short form, or `source:` of the long one. */
function items(kind: NamedKind, node: Node | undefined, nameOf: (text: string) => string): Found[] {
  if (node?.kind !== 'list') return [];
  return node.items.flatMap((item) =>
    item.kind === 'scalar'
      ? one(kind, item, nameOf)
      : isNamedSource(item)
        ? one(kind, child(item, 'source'), (text) => text)
        : [],
  );
}

function isNamedSource(item: Node): boolean {
  return childText(item, 'type') !== 'bind' && childText(item, 'type') !== 'tmpfs';
}

function one(kind: NamedKind, node: Node | undefined, nameOf: (text: string) => string): Found[] {
  if (node?.kind !== 'scalar' || typeof node.value !== 'string') return [];
  const name = nameOf(node.text);
  return name === '' ? [] : [{ kind, name, at: nameIn(node, name), isDefinition: false }];
}

/** The stretch of the source that shows the name itself, without quotes or what follows it. */
function nameIn(span: Span, name: string): Span {
  const found = span.source.text.slice(span.start, span.end).indexOf(name);
  const start = span.start + Math.max(0, found);
  return { source: span.source, start, end: start + name.length };
}

function entriesOf(node: Node | undefined): Iterable<readonly [string, Entry]> {
  return node?.kind === 'map' ? node.entries : [];
}
