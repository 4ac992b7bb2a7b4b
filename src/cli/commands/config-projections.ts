import {
  type LoadOptions,
  listVariables,
  type Project,
  renderVariables,
  type VariableUse,
} from '../../compose/index.ts';
import { sortTopologically, TscError } from '../../core/index.ts';

type Projection = 'services' | 'volumes' | 'networks' | 'images' | 'profiles' | 'models' | 'environment';

/** The parts of a project that `config` prints alone, one line each. */
export const project: Readonly<Record<Projection, (project: Project) => string>> = {
  services: ({ services }) => lines(inOrder(services)),
  volumes: ({ volumes }) => lines([...volumes.keys()].sort()),
  networks: ({ networks }) => lines([...networks.keys()].sort()),
  images: ({ name, services }) =>
    lines([...services.values()].map((service) => service.image ?? `${name}-${service.name}`)),
  profiles: ({ services, disabledServices }) => {
    const all = [...services.values(), ...disabledServices.values()];
    return lines([...new Set(all.flatMap(({ profiles }) => profiles))].sort());
  },
  models: ({ models }) => lines([...models.values()].flatMap(({ model }) => model ?? [])),
  environment: ({ environment }) => lines([...environment].map(([name, value]) => `${name}=${value}`).sort()),
};

/** Each after those it depends on. */
function inOrder(services: Project['services']): readonly string[] {
  const names = [...services.keys()].sort();
  const sorted = sortTopologically(names, (name) =>
    [...(services.get(name)?.dependsOn.keys() ?? [])].filter((other) => services.has(other)),
  );
  return 'cycle' in sorted ? names : sorted.order;
}

/** `--hash`: what decides whether a container is recreated, as one digest per service; the same as docker compose's. */
export async function showHashes(project: Project, which: string): Promise<string> {
  const { hashService } = await import('../../stack/index.ts');
  const wanted = which === '*' ? [...project.services.keys()].sort() : which.split(',');
  return lines(
    wanted.map((name) => {
      const service = project.services.get(name);
      if (!service) throw new TscError('cli/not-found', `no such service: ${name}`);
      return `${name} ${hashService(service)}`;
    }),
  );
}

/** `--variables`: a table, or a document for tools. */
export async function showVariables(options: LoadOptions, format: string | undefined): Promise<string> {
  const variables = await listVariables(options);
  if (format === 'json' || format === 'yaml') return renderVariables(variables, { format });
  return table(variables);
}

function table(variables: readonly VariableUse[]): string {
  const rows = [
    ['NAME', 'REQUIRED', 'DEFAULT VALUE', 'ALTERNATE VALUE'],
    ...variables.map((use) => [use.name, String(use.required), use.default, use.alternate]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(20, ...rows.map((row) => (row[column] ?? '').length + 3)));
  return lines(rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('')));
}

function lines(items: readonly string[]): string {
  return items.map((item) => `${item}\n`).join('');
}
