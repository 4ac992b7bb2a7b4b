import { dirname } from 'node:path/posix';
import { type Position, TscError } from '../../core/index.ts';
import { assignmentIn } from '../explain/variables.ts';
import { type Node, positionOf, type Scalar, type Span } from '../node.ts';
import { absolutePath, isRemote } from '../paths.ts';
import { referencesIn } from '../template-references.ts';
import type { Analysis } from './analyse.ts';
import type { Mention } from './mentions.ts';

/** The name at a place, when one is written there. */
export function mentionAt(analysis: Analysis, file: string, offset: number): Mention | undefined {
  return analysis.mentions.find(({ at }) => at.source.file === file && at.start <= offset && offset <= at.end);
}

/** Every place where the same thing is named, its definitions first. */
export function mentionsOf(analysis: Analysis, { kind, name }: Mention): readonly Mention[] {
  const same = analysis.mentions.filter((mention) => mention.kind === kind && mention.name === name);
  return same.sort((a, b) => Number(b.isDefinition) - Number(a.isDefinition));
}

/** Where what stands at a place is defined: services and resources, anchors, variables, files. */
export function definitionsAt(analysis: Analysis, file: string, offset: number): readonly Position[] {
  const text = analysis.sources.get(file) ?? '';
  const variable = variableAt(text, offset);
  if (variable) return variableDefinitions(analysis, variable.name);
  const anchor = anchorAt(text, offset);
  if (anchor !== undefined) return anchorDefinitions(analysis, file, anchor, offset);
  const mention = mentionAt(analysis, file, offset);
  if (mention) {
    const all = mentionsOf(analysis, mention).filter(({ isDefinition }) => isDefinition);
    const there = all.filter(({ at }) => at.source.file === mention.inFile);
    return (there.length > 0 ? there : all).map(({ at }) => positionOf(at));
  }
  return fileAt(analysis, file, offset);
}

/** The variable whose reference holds the place. */
export function variableAt(text: string, offset: number): { readonly name: string } | undefined {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', offset);
  const line = text.slice(start, end < 0 ? undefined : end);
  const at = offset - start;
  // The innermost comes last.
  return referencesIn(line).findLast((reference) => reference.start <= at && at <= reference.end);
}

function variableDefinitions({ run, loaded }: Analysis, name: string): readonly Position[] {
  const files = new Set([...run.journal.envFiles, ...(loaded?.facts.envFiles ?? [])]);
  return [...files].flatMap((file) => assignmentIn(run, file, name)?.at ?? []);
}

function anchorAt(text: string, offset: number): string | undefined {
  const start = /[*&][^\s,[\]{}]*$/.exec(text.slice(Math.max(0, offset - 100), offset));
  const rest = /^[*&]?[^\s,[\]{}]*/.exec(text.slice(offset))?.[0] ?? '';
  const word = `${start?.[0] ?? ''}${rest}`;
  return /^[*&]./.test(word) ? word.slice(1) : undefined;
}

function anchorDefinitions(analysis: Analysis, file: string, name: string, offset: number): readonly Position[] {
  const source = analysis.documents.get(file)?.[0]?.source;
  if (!source) return [];
  const before = source.text.slice(0, offset + name.length + 1).lastIndexOf(`&${name}`);
  return before < 0 ? [] : [positionOf({ source, start: before, end: before + name.length + 1 })];
}

/** Values that name files, by the end of their path. */
const FILE_PATHS =
  /^include \[\](?: path(?: \[\])?| env_file(?: \[\])?)?$|^services \S+ (?:extends file|env_file(?: \[\](?: path)?)?|label_file(?: \[\])?|build dockerfile|credential_spec file)$|^(?:secrets|configs) \S+ file$/;

function fileAt(analysis: Analysis, file: string, offset: number): readonly Position[] {
  const found = scalarAt(analysis.documents.get(file) ?? [], offset, []);
  if (!found || !FILE_PATHS.test(found.path.join(' '))) return [];
  const { text } = found.node;
  if (text.includes('$') || isRemote(text)) return [];
  return [{ file: absolutePath(text, dirname(file), analysis.run.options.environment['HOME']), line: 1, column: 1 }];
}

interface ScalarPlace {
  readonly node: Scalar;
  readonly path: readonly string[];
}

/** The innermost scalar at a place. */
function scalarAt(nodes: readonly Node[], offset: number, path: readonly string[]): ScalarPlace | undefined {
  for (const node of nodes) {
    if (!holds(node, offset)) continue;
    const found = node.kind === 'scalar' ? { node, path } : scalarBelow(node, offset, path);
    if (found) return found;
  }
  return undefined;
}

function scalarBelow(node: Exclude<Node, Scalar>, offset: number, path: readonly string[]): ScalarPlace | undefined {
  if (node.kind === 'list') return scalarAt(node.items, offset, [...path, '[]']);
  for (const [key, { value }] of node.entries) {
    const found = scalarAt([value], offset, [...path, key]);
    if (found) return found;
  }
  return undefined;
}

function holds({ start, end }: Span, offset: number): boolean {
  return start <= offset && offset <= end;
}

/** The name at a place, when it can be changed. Throws `compose/not-found` and `compose/invalid`. */
export function renamableAt(analysis: Analysis, file: string, offset: number): Mention {
  const mention = mentionAt(analysis, file, offset);
  if (!mention)
    throw new TscError('compose/not-found', 'there is no name here', {
      hint: 'put the cursor on the name of a service or resource',
    });
  const elsewhere = mentionsOf(analysis, mention).find(({ at }) => at.source.origin !== undefined);
  if (elsewhere)
    throw new TscError(
      'compose/invalid',
      `${mention.name} is named in a file from elsewhere, which cannot be changed`,
      {
        hint: elsewhere.at.source.file,
      },
    );
  return mention;
}

/** Places to change when the thing named at a place gets another name. Throws `compose/not-found` and `compose/invalid`. */
export function renameAt(analysis: Analysis, file: string, offset: number, name: string): readonly Position[] {
  const mention = renamableAt(analysis, file, offset);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name))
    throw new TscError('compose/invalid', `${JSON.stringify(name)} is not a name`, {
      hint: 'names are made of letters, digits, ".", "_" and "-"',
    });
  const places = mentionsOf(analysis, mention);
  if (
    places.some(({ isDefinition }) => isDefinition) &&
    mentionsOf(analysis, { ...mention, name }).some(({ isDefinition }) => isDefinition)
  )
    throw new TscError('compose/invalid', `${mention.kind} has a ${name} already`, { hint: 'choose another name' });
  return places.map(({ at }) => positionOf(at));
}
