import { FreeKeys, type Out, plain, sorted } from './codec.ts';
import { fileObjects, models, networks, volumes } from './codecs/resources.ts';
import { service } from './codecs/service.ts';
import type { Project } from './project.ts';
import { writeJson } from './write-json.ts';
import { writeYaml } from './write-yaml.ts';

/** Writes the model as `docker compose config` does; the text loads again to the same model. Ends with a newline. */
export function renderProject(project: Project, options: { readonly format: 'yaml' | 'json' }): string {
  const sections: [string, Out | undefined][] = [
    ['services', sorted(project.services, (value) => service.write(value))],
    ['networks', networks.write(project.networks)],
    ['volumes', volumes.write(project.volumes)],
    ['secrets', fileObjects.write(project.secrets)],
    ['configs', fileObjects.write(project.configs)],
    ['models', models.write(project.models)],
    ...sorted(project.extensions ?? new Map(), (value) => plain.write(value)),
  ];
  const out = new Map<string, Out>([['name', project.name]]);
  for (const [key, value] of sections) if (value !== undefined) out.set(key, escapeDollars(value));
  if (options.format === 'yaml') return writeYaml(out);
  return writeJson(new Map([...out].sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** A literal dollar is written doubled, for reading interpolates again; keys are never interpolated. */
function escapeDollars(value: Out): Out {
  if (typeof value === 'string') return value.replaceAll('$', '$$$$');
  if (value instanceof Map) {
    const entries = Array.from(value as ReadonlyMap<string, Out>, ([key, item]) => [key, escapeDollars(item)] as const);
    return value instanceof FreeKeys ? new FreeKeys(entries) : new Map(entries);
  }
  return Array.isArray(value) ? value.map(escapeDollars) : value;
}
