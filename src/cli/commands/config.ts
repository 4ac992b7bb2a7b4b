import { resolve } from 'node:path';
import type { Project } from '../../compose/index.ts';
import { renderProject } from '../../compose/index.ts';
import { TscError } from '../../core/index.ts';
import { writeAtomically } from '../../host/index.ts';
import { defineContainer, hashDefinition, imageOf, replicaName, toContainerSpec } from '../../stack/index.ts';
import type { Context } from '../context.ts';

interface Options {
  readonly format?: string;
  readonly quiet?: boolean;
  readonly output?: string;
  readonly services?: boolean;
  readonly volumes?: boolean;
  readonly networks?: boolean;
  readonly images?: boolean;
  readonly profiles?: boolean;
  readonly hash?: string;
}

/** `tscompose config` */
export async function run(context: Context, services: readonly string[], options: Options): Promise<number> {
  const { project } = await context.load(services, 'show');
  if (options.quiet) return 0;
  const text = show(project, options);
  if (options.output === undefined) await context.output.write(text);
  else await writeAtomically(resolve(context.currentDirectory, options.output), text, { mode: 0o644 });
  return 0;
}

function show(project: Project, options: Options): string {
  if (options.services) return lines(project.services.keys());
  if (options.volumes) return lines(project.volumes.keys());
  if (options.networks) return lines(project.networks.keys());
  if (options.images) return lines([...project.services.values()].map((service) => imageOf(project.name, service)));
  if (options.profiles) return lines(allProfiles(project));
  if (options.hash !== undefined) return lines(hashes(project, options.hash));
  const format = options.format ?? 'yaml';
  if (format !== 'yaml' && format !== 'json')
    throw new TscError('cli/invalid', `config --format ${format} is unknown`, { hint: 'use yaml or json' });
  return renderProject(project, { format });
}

function allProfiles(project: Project): string[] {
  const all = [...project.services.values(), ...project.disabledServices.values()];
  return [...new Set(all.flatMap(({ profiles }) => profiles))].sort();
}

function hashes(project: Project, which: string): string[] {
  const wanted = which === '*' ? [...project.services.keys()] : which.split(',');
  return wanted.map((name) => {
    const service = project.services.get(name);
    if (!service) throw new TscError('cli/not-found', `no such service: ${name}`);
    const containerOf = (other: string) => {
      const found = project.services.get(other);
      return found ? replicaName(project.name, found, 1) : other;
    };
    return `${name} ${hashDefinition(defineContainer(toContainerSpec({ project, service, number: 1, containerOf })))}`;
  });
}

function lines(items: Iterable<string>): string {
  return [...items].map((item) => `${item}\n`).join('');
}
