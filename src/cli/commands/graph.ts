import { resolve } from 'node:path';
import {
  type DependencyGraph,
  dependencyGraph,
  formatDot,
  formatGraph,
  formatMermaid,
  formatSvg,
  narrowProject,
} from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import { writeAtomically } from '../../host/index.ts';
import type { Context } from '../context.ts';

interface Options {
  readonly format?: string;
  readonly output?: string;
}

const FORMATS: ReadonlyMap<string, (graph: DependencyGraph) => string> = new Map([
  ['text', formatGraph],
  ['mermaid', formatMermaid],
  ['dot', formatDot],
  ['svg', formatSvg],
]);

/** `tscompose graph` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const format = FORMATS.get(options.format ?? 'text');
  if (!format)
    throw new TscError('cli/invalid', `graph --format ${options.format} is unknown`, {
      hint: `use ${[...FORMATS.keys()].join(', ')}`,
    });
  const { project } = await context.load(services, 'show');
  const text = format(dependencyGraph(narrowProject(project, services)));
  if (options.output === undefined) await context.output.write(text);
  else await writeAtomically(resolve(context.currentDirectory, options.output), text, { mode: 0o644 });
  return 0;
}
