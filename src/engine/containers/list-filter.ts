import { TscError } from '../../core/index.ts';
import type { ContainerFilter } from './container-service.ts';
import type { ContainerContext } from './context.ts';
import type { LiveContainer } from './live-container.ts';

const STATUSES = new Set(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']);

/** The containers a filter lets through, newest first. */
export function filterContainers(context: ContainerContext, filter: ContainerFilter): LiveContainer[] {
  for (const status of filter.status ?? [])
    if (!STATUSES.has(status)) throw new TscError('container/invalid', `invalid filter status=${status}`);
  const all = filter.all || filter.limit !== undefined || given(filter.status) || given(filter.exited);
  const created = (ref: string) => context.table.get(ref).record.created;
  const before = (filter.before ?? []).map(created);
  const since = (filter.since ?? []).map(created);
  const found = context.table.all
    .filter(
      (container) =>
        (all || container.isRunning || container.state.status === 'restarting') &&
        before.every((time) => container.record.created < time) &&
        since.every((time) => container.record.created > time) &&
        matchesRecord(container, filter) &&
        matchesState(context, container, filter),
    )
    .sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  return filter.limit !== undefined && filter.limit > 0 ? found.slice(0, filter.limit) : found;
}

const given = (values: readonly string[] | undefined) => values !== undefined && values.length > 0;

function anyOf(values: readonly string[] | undefined, test: (value: string) => boolean): boolean {
  return values === undefined || values.length === 0 || values.some(test);
}

function matchesRecord({ record, id }: LiveContainer, filter: ContainerFilter): boolean {
  return (
    anyOf(filter.id, (value) => id.startsWith(value)) &&
    anyOf(filter.name, (value) => matchesName(record.name, value)) &&
    (filter.label ?? []).every((value) => hasLabel(record.config.labels, value)) &&
    anyOf(filter.ancestor, (value) => isAncestor(record, value)) &&
    anyOf(filter.volume, (value) =>
      record.mounts.some((mount) => mount.name === value || mount.destination === value || mount.source === value),
    ) &&
    anyOf(filter.publish, (value) => record.host.portBindings.some((port) => samePort(port.containerPort, value))) &&
    anyOf(filter.expose, (value) => record.config.exposedPorts.some((port) => samePort(port, value)))
  );
}

function matchesState(context: ContainerContext, { state, id }: LiveContainer, filter: ContainerFilter): boolean {
  const endpoints = context.networks.endpoints(id);
  return (
    anyOf(filter.status, (value) => state.status === value) &&
    anyOf(
      filter.exited,
      (value) => (state.status === 'exited' || state.status === 'dead') && String(state.exitCode) === value,
    ) &&
    anyOf(filter.health, (value) => (state.health?.status ?? 'none') === value) &&
    anyOf(filter.network, (value) =>
      endpoints.some((endpoint) => endpoint.networkName === value || endpoint.networkId.startsWith(value)),
    )
  );
}

/** As in the Engine API a pattern; without signs of one a plain part of the name, which may begin with a slash. */
function matchesName(name: string, wanted: string): boolean {
  if (/^[\w/-]*$/.test(wanted)) return `/${name}`.includes(wanted);
  try {
    const pattern = new RegExp(wanted);
    return pattern.test(name) || pattern.test(`/${name}`);
  } catch {
    return name.includes(wanted);
  }
}

/** Whether labels have `key` or `key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  const key = at < 0 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
}

function isAncestor(record: LiveContainer['record'], value: string): boolean {
  const id = record.imageId.replace(/^sha256:/, '');
  const image = record.config.image;
  return (
    image === value ||
    image === `${value}:latest` ||
    `${image}:latest` === value ||
    (/^(sha256:)?[0-9a-f]{4,64}$/.test(value) && id.startsWith(value.replace(/^sha256:/, '')))
  );
}

function samePort(port: string, value: string): boolean {
  const full = (text: string) => (text.includes('/') ? text : `${text}/tcp`);
  return full(port) === full(value);
}
