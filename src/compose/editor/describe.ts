import { describeNode, valueAt } from '../explain/tree-path.ts';
import { originOf } from '../explain/variables.ts';
import { child, childText } from '../node.ts';
import type { Analysis } from './analyse.ts';
import { cursorAt } from './cursor.ts';
import { mentionAt, variableAt } from './navigate.ts';
import { descriptionAt, wordsAt } from './schema-path.ts';

/** What there is to say about a place, as Markdown; undefined where there is nothing. */
export function describeAt(analysis: Analysis, file: string, offset: number): string | undefined {
  const text = analysis.sources.get(file) ?? '';
  const variable = variableAt(text, offset);
  if (variable) return describeVariable(analysis, variable.name);
  const mention = mentionAt(analysis, file, offset);
  if (mention && !mention.isDefinition) return describeThing(analysis, mention.kind, mention.name);
  const lineEnd = text.indexOf('\n', offset);
  const { path, key } = cursorAt(text, lineEnd < 0 ? text.length : lineEnd);
  return key === undefined ? undefined : describeKey(analysis, [...path, key]);
}

function describeVariable({ run, loaded }: Analysis, name: string): string {
  if (!loaded) return `**${name}**`;
  const value = loaded.facts.environment.get(name);
  if (value === undefined) return `**${name}** is not set`;
  return `**${name}** = \`${value}\`\n\nfrom ${originOf(name, run, loaded)}`;
}

function describeThing({ loaded }: Analysis, kind: string, name: string): string {
  const node = child(child(loaded?.whole, kind), name);
  const what = kind.slice(0, -1);
  const details = ['image', 'driver', 'file', 'model', 'name'].flatMap((key) => {
    const text = childText(node, key);
    return text === undefined ? [] : [`${key}: \`${text}\``];
  });
  return [`**${what} ${name}**${node ? '' : ' is not defined'}`, ...details].join('\n\n');
}

function describeKey({ loaded }: Analysis, path: readonly string[]): string | undefined {
  const description = descriptionAt(path);
  if (description === undefined) return undefined;
  const words = wordsAt(path);
  const value = loaded && !path.includes('[]') ? valueAt(loaded.whole, path)?.node : undefined;
  return [
    `**${path.at(-1)}**: ${description}`,
    ...(words.length > 0 ? [`one of ${words.map((word) => `\`${word}\``).join(', ')}`] : []),
    ...(value?.kind === 'scalar' ? [`value: \`${describeNode(value)}\``] : []),
  ].join('\n\n');
}
