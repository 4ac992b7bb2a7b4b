import { plain } from './codec.ts';
import { fileObjects, models, networks, volumes } from './codecs/resources.ts';
import { service } from './codecs/service.ts';
import type { PlainValue } from './extension.ts';
import { child, isNull, type Mapping, mappingAt, type Node, withEntry } from './node.ts';
import type { Project } from './project.ts';
import type { Service } from './service.ts';

/** What the files do not say about a project. */
export type ProjectFacts = Pick<
  Project,
  'name' | 'workingDirectory' | 'composeFiles' | 'envFiles' | 'environment' | 'profiles'
>;

/** Stage 12: the checked tree as a typed, readonly model. */
export function bind(tree: Mapping, active: Mapping, inactive: Mapping, facts: ProjectFacts): Project {
  const extensions = new Map<string, PlainValue>();
  for (const [key, { value }] of tree.entries) {
    const read = key.startsWith('x-') ? plain.read(value) : undefined;
    if (read !== undefined) extensions.set(key, read);
  }
  return {
    ...facts,
    services: bindServices(active),
    disabledServices: bindServices(inactive),
    networks: networks.read(resources(tree, 'networks')) ?? new Map(),
    volumes: volumes.read(resources(tree, 'volumes')) ?? new Map(),
    secrets: fileObjects.read(resources(tree, 'secrets')) ?? new Map(),
    configs: fileObjects.read(resources(tree, 'configs')) ?? new Map(),
    models: models.read(child(tree, 'models')) ?? new Map(),
    ...(extensions.size > 0 && { extensions }),
  };
}

/** A resource without a body is one with nothing said about it. */
function resources(tree: Mapping, section: string): Node | undefined {
  const given = child(tree, section);
  if (given?.kind !== 'map') return given;
  const empty = [...given.entries].filter(([, { value }]) => isNull(value));
  return empty.reduce<Mapping>((made, [key, { value }]) => withEntry(made, key, mappingAt(value, [])), given);
}

function bindServices(services: Mapping): ReadonlyMap<string, Service> {
  const made = new Map<string, Service>();
  for (const [name, { value }] of services.entries) {
    const read = service.read(value);
    if (read) made.set(name, { ...read, name });
  }
  return made;
}
