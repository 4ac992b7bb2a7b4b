import { randomBytes } from 'node:crypto';
import type { ContainerSpec, MountSpec, PortPublication } from '../client/index.ts';
import type { Project, Service } from '../compose/index.ts';
import { containerLabels, LABEL } from './labels.ts';
import { toContainerSpec } from './service-spec.ts';

export interface OneOffOptions {
  readonly name?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly entrypoint?: readonly string[] | undefined;
  readonly environment: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly user?: string | undefined;
  readonly workingDir?: string | undefined;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly publish: readonly PortPublication[];
  /** Publish the ports of the service as well. */
  readonly servicePorts: boolean;
  readonly useAliases: boolean;
  readonly mounts: readonly MountSpec[];
  readonly autoRemove: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
}

/** What `run` creates: the service's own spec with the overrides, without its ports and names unless asked. Pure but for the random name. */
export function toOneOffSpec(
  project: Project,
  service: Service,
  options: OneOffOptions,
  containerOf: (service: string) => string,
): ContainerSpec {
  const base = toContainerSpec({ project, service, number: 1, containerOf });
  const slug = randomBytes(32).toString('hex');
  const name = options.name ?? `${project.name}-${service.name}-run-${slug.slice(0, 12)}`;
  const { restart: _restart, entrypoint, command, ...rest } = base;
  const newEntrypoint = options.entrypoint ?? entrypoint;
  // A new entry point takes the service's command away, as docker does.
  const newCommand = options.command ?? (options.entrypoint ? undefined : command);
  const targets = new Set(options.mounts.map(({ target }) => target));
  return {
    ...rest,
    name,
    ...(newEntrypoint && { entrypoint: newEntrypoint }),
    ...(newCommand && { command: newCommand }),
    environment: { ...base.environment, ...Object.fromEntries(options.environment) },
    labels: {
      ...containerLabels(project, service, 1, true),
      ...Object.fromEntries(options.labels),
      [LABEL.slug]: slug,
    },
    tty: options.tty,
    openStdin: options.stdin,
    stdinOnce: options.stdin,
    ports: [...(options.servicePorts ? base.ports : []), ...options.publish],
    mounts: [...base.mounts.filter(({ target }) => !targets.has(target)), ...options.mounts],
    endpoints: base.endpoints.map((endpoint) => ({
      network: endpoint.network,
      ...(endpoint.links && { links: endpoint.links }),
      aliases: options.useAliases ? [...endpoint.aliases.slice(1), name] : [name],
    })),
    ...(options.user !== undefined && { user: options.user }),
    ...(options.workingDir !== undefined && { workingDir: options.workingDir }),
    ...(options.autoRemove && { autoRemove: true }),
    security: {
      ...base.security,
      ...(options.capAdd.length > 0 && { capAdd: [...(base.security?.capAdd ?? []), ...options.capAdd] }),
      ...(options.capDrop.length > 0 && { capDrop: [...(base.security?.capDrop ?? []), ...options.capDrop] }),
    },
  };
}
