import { childMap } from '../node.ts';
import { alternativesOf, typesOf } from '../schema.ts';
import type { Analysis } from './analyse.ts';
import { cursorAt } from './cursor.ts';
import type { NamedKind } from './mentions.ts';
import { descriptionAt, keysAt, schemasAt, wordsAt } from './schema-path.ts';

/** Something that may be written at the cursor. */
export interface Proposal {
  readonly label: string;
  readonly kind: 'key' | 'value' | 'name' | 'variable';
  /** What is inserted in place of the word before the cursor. */
  readonly insert: string;
  readonly description?: string;
  /** Offset where the replaced word begins. */
  readonly start: number;
}

/** Keys, values, names and variables that fit the place. */
export function proposalsAt(analysis: Analysis, file: string, offset: number): readonly Proposal[] {
  const text = analysis.sources.get(file) ?? '';
  const variable = /\$\{?([A-Za-z0-9_]*)$/.exec(text.slice(Math.max(0, offset - 200), offset));
  if (variable) return variables(analysis, offset - (variable[1]?.length ?? 0));
  const cursor = cursorAt(text, offset);
  const inside = openBracket(text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset));
  // What lies in braces on one line is not taken apart.
  if (inside === '{') return [];
  const { path, key, prefix } = cursor;
  const value = key === undefined ? path : [...path, key, ...(inside === '[' ? ['[]'] : [])];
  const place = { analysis, text, start: cursor.start };
  const found = key === undefined ? atKey(place, path) : atValue(place, value);
  return found.filter(({ label }) => label.startsWith(prefix));
}

/** The last bracket of a line that is still open. */
function openBracket(line: string): string | undefined {
  const open: string[] = [];
  for (const char of line) {
    if (char === '{' || char === '[') open.push(char);
    else if (char === '}' || char === ']') open.pop();
  }
  return open.at(-1);
}

function variables({ loaded }: Analysis, start: number): Proposal[] {
  const known = [...(loaded?.facts.environment ?? [])];
  return known.map(([label, value]) => ({ label, kind: 'variable', insert: label, description: value, start }));
}

interface Place {
  readonly analysis: Analysis;
  readonly text: string;
  readonly start: number;
}

function atKey(place: Place, path: readonly string[]): Proposal[] {
  const { start } = place;
  const keys = Array.from(keysAt(path), ([label, description]): Proposal => {
    const insert = `${label}:${isScalar([...path, label]) ? ' ' : ''}`;
    return { label, kind: 'key', insert, ...(description !== undefined && { description }), start };
  });
  return [...keys, ...atValue(place, path)];
}

function isScalar(path: readonly string[]): boolean {
  const types = schemasAt(path).flatMap(alternativesOf).flatMap(typesOf);
  return !types.includes('object') && !types.includes('array');
}

function atValue({ analysis, text, start }: Place, path: readonly string[]): Proposal[] {
  const words = wordsAt(path).map((label): Proposal => ({ label, kind: 'value', insert: label, start }));
  const kind = NAMES.find(([pattern]) => pattern.test(path.join(' ')))?.[1];
  const named = kind === undefined ? [] : namesOf(analysis, kind, text);
  const description = kind === undefined ? undefined : descriptionAt(path);
  return [
    ...words,
    ...named.map(
      (label): Proposal => ({
        label,
        kind: 'name',
        insert: label,
        ...(description !== undefined && { description }),
        start,
      }),
    ),
  ];
}

/** Where names are wanted, by path. */
const NAMES: readonly (readonly [RegExp, NamedKind])[] = [
  [/^services \S+ (?:depends_on(?: \[\])?|links \[\]|volumes_from \[\]|extends(?: service)?)$/, 'services'],
  [/^services \S+ networks(?: \[\])?$/, 'networks'],
  [/^services \S+ volumes \[\](?: source)?$/, 'volumes'],
  [/^services \S+ (?:build )?secrets \[\](?: source)?$/, 'secrets'],
  [/^services \S+ configs \[\](?: source)?$/, 'configs'],
  [/^services \S+ models(?: \[\])?$/, 'models'],
];

/** Names of the application, and those in the text at hand: while it is broken the loader sees none of them. */
function namesOf({ loaded }: Analysis, kind: NamedKind, text: string): string[] {
  const known = [...(childMap(loaded?.whole, kind)?.entries.keys() ?? [])];
  return [...new Set([...known, ...namesInText(text, kind)])];
}

/** Keys below a section, by indentation alone. */
function namesInText(text: string, kind: NamedKind): string[] {
  const lines = text.split('\n');
  const head = lines.findIndex((line) => line.startsWith(`${kind}:`));
  const below = head < 0 ? [] : lines.slice(head + 1);
  const end = below.findIndex((line) => /^[^\s#]/.test(line));
  const rows = below.slice(0, end < 0 ? undefined : end).flatMap((line) => {
    const [, indent, name] = /^( +)([\w.-]+):/.exec(line) ?? [];
    return indent === undefined || name === undefined ? [] : [{ depth: indent.length, name }];
  });
  return rows.filter(({ depth }) => depth === rows[0]?.depth).map(({ name }) => name);
}
