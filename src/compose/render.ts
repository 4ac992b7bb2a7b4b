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
  return writeCompactJson(withoutExtensions(new Map(entries.map(([key, item]) => [key, hashed(key, item)]))));
}

/** What the hashed text writes in another way than `config` does. */
function hashed(key: string, value: Out): Out {
  if (key === 'extra_hosts' && Array.isArray(value)) return [...(value as readonly string[])].sort();
  if (key === 'volumes' && Array.isArray(value)) return (value as readonly Out[]).map(withoutRefusal);
  if (!(value instanceof Map)) return value;
  const entries = [...(value as ReadonlyMap<string, Out>)];
  if (key === 'deploy') return new Map(entries.filter(([name]) => name !== 'replicas'));
  return key === 'blkio_config' ? new Map(entries.map(([name, item]) => [name, capitalised(item)])) : value;
}

/** That a missing folder is not to be made, which `config` has to say, is what the hashed text says by saying nothing. */
function withoutRefusal(mount: Out): Out {
  const bind = mount instanceof Map ? (mount as ReadonlyMap<string, Out>).get('bind') : undefined;
  if (!(mount instanceof Map) || !(bind instanceof Map) || bind.get('create_host_path') !== false) return mount;
  return new Map([...mount, ['bind', new Map([...bind].filter(([key]) => key !== 'create_host_path'))]]);
}

/** Limits of devices carry the names that they have inside docker compose. */
function capitalised(limits: Out): Out {
  if (!Array.isArray(limits)) return limits;
  const rename = ([key, item]: readonly [string, Out]) => [key.charAt(0).toUpperCase() + key.slice(1), item] as const;
  return (limits as readonly Out[]).map((limit) =>
    limit instanceof Map ? new Map([...(limit as ReadonlyMap<string, Out>)].map(rename)) : limit,
  );
}

/** `x-` keys are no part of a container, but among keys that users choose they are names. */
function withoutExtensions(value: Out): Out {
  if (Array.isArray(value)) return (value as readonly Out[]).map(withoutExtensions);
  if (!(value instanceof Map)) return value;
  const isFree = value instanceof FreeKeys;
  const entries = [...(value as ReadonlyMap<string, Out>)].filter(([key]) => isFree || !key.startsWith('x-'));
  const kept = entries.map(([key, item]) => [key, withoutExtensions(item)] as const);
  return isFree ? new FreeKeys(kept) : new Map(kept);
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
