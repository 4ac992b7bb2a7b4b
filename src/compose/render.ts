import { FreeKeys, type Out, plain, sorted } from './codec.ts';
import { fileObjects, models, networks, volumes } from './codecs/resources.ts';
import { service } from './codecs/service.ts';
import type { VariableUse } from './list-variables.ts';
import type { Project } from './project.ts';
import type { Service } from './service.ts';
import { writeCompactJson, writeJson } from './write-json.ts';
import { writeYaml } from './write-yaml.ts';

/** Writes the model as `docker compose config` does; the text loads again to the same model. */
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

/** Attributes that docker compose leaves out of its hash: they change no container. */
const UNHASHED: readonly string[] = ['build', 'depends_on', 'profiles', 'pull_policy', 'scale'];

/**
 * The text that docker compose hashes to decide whether a container is recreated: the service in compact JSON without what
 * changes no container.
 */
export function renderForHash(value: Service): string {
  const written = service.write(value);
  const entries = [...(written as ReadonlyMap<string, Out>)].filter(([key]) => !UNHASHED.includes(key));
  const kept = entries.map(([key, item]) => [key, key === 'deploy' ? withoutReplicas(item) : item] as const);
  return writeCompactJson(new Map(kept));
}

function withoutReplicas(deploy: Out): Out {
  return deploy instanceof Map ? new Map([...deploy].filter(([key]) => key !== 'replicas')) : deploy;
}

/** Writes an override file that says nothing but which image each service has. */
export function renderImages(
  images: ReadonlyMap<string, string>,
  options: { readonly format: 'yaml' | 'json' },
): string {
  const services = sorted(images, (image) => new Map([['image', escapeDollars(image)]]));
  const out = new Map([['services', services]]);
  return options.format === 'yaml' ? writeYaml(out) : writeJson(out);
}

/** Writes the variables that files use, for tools; property names and indentation are those of the reference. */
export function renderVariables(
  variables: readonly VariableUse[],
  options: { readonly format: 'yaml' | 'json' },
): string {
  if (options.format === 'json') {
    const rows = variables.map((use) => [
      use.name,
      { Name: use.name, DefaultValue: use.default, PresenceValue: use.alternate, Required: use.required },
    ]);
    return `${JSON.stringify(Object.fromEntries(rows), undefined, 4)}\n\n`;
  }
  const out = new Map(
    variables.map((use) => [
      use.name,
      new Map<string, Out>([
        ['name', use.name],
        ['defaultvalue', use.default],
        ['presencevalue', use.alternate],
        ['required', use.required],
      ]),
    ]),
  );
  // Two levels, and the lines of a text below them, at four spaces each.
  return writeYaml(out).replace(/^(?: {2}){1,2}/gm, '$&$&');
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
