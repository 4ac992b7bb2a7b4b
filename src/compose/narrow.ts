import type { Project } from './project.ts';
import type { Service } from './service.ts';

/** The project with the named services, those they depend on, and the resources that these use. No names: all of it. */
export function narrowProject(project: Project, names: readonly string[]): Project {
  if (names.length === 0) return project;
  const chosen = new Map<string, Service>();
  const add = (name: string): void => {
    const service = project.services.get(name);
    if (!service || chosen.has(name)) return;
    // A dependency that is not required and not there is none.
    const dependsOn = new Map(
      [...service.dependsOn].filter(([other, { required }]) => required || project.services.has(other)),
    );
    chosen.set(name, dependsOn.size === service.dependsOn.size ? service : { ...service, dependsOn });
    for (const other of dependsOn.keys()) add(other);
  };
  for (const name of names) add(name);
  const all = [...chosen.values()];
  const used = {
    networks: all.flatMap((service) => [...service.networks.keys()]),
    volumes: all.flatMap((service) => service.volumes.flatMap(({ type, source }) => (type === 'volume' ? source : []))),
    secrets: all.flatMap((service) =>
      [...service.secrets, ...(service.build?.secrets ?? [])].map(({ source }) => source),
    ),
    configs: all.flatMap((service) => [...service.configs.map(({ source }) => source), service.credentialSpec?.config]),
    models: all.flatMap((service) => [...service.models.keys()]),
  };
  return {
    ...project,
    services: new Map([...project.services.keys()].flatMap((name) => entryOf(chosen, name))),
    networks: keep(project.networks, used.networks),
    volumes: keep(project.volumes, used.volumes),
    secrets: keep(project.secrets, used.secrets),
    configs: keep(project.configs, used.configs),
    models: keep(project.models, used.models),
  };
}

function entryOf<T>(all: ReadonlyMap<string, T>, name: string): readonly (readonly [string, T])[] {
  const value = all.get(name);
  return value === undefined ? [] : [[name, value]];
}

function keep<T>(all: ReadonlyMap<string, T>, names: readonly (string | undefined)[]): ReadonlyMap<string, T> {
  return new Map([...all].filter(([name]) => names.includes(name)));
}
