import { createHash } from 'node:crypto';
import type { ContainerSpec, Labels, NetworkSpec, VolumeSpec } from '../client/index.ts';
import { renderForHash, type Service } from '../compose/index.ts';
import { LABEL } from './labels.ts';

/** Short digests by attribute: `{ "image": "5f2c…", "environment.DEBUG": "…" }`. */
export type Definition = Readonly<Record<string, string>>;

/** Words of the compose file for our own attribute names. */
const WORDS: Readonly<Record<string, string>> = {
  workingDir: 'working_dir',
  domainname: 'domainname',
  openStdin: 'stdin_open',
  stopSignal: 'stop_signal',
  stopTimeout: 'stop_grace_period',
  exposed: 'expose',
  mounts: 'volumes',
  volumesFrom: 'volumes_from',
  networkMode: 'network_mode',
  endpoints: 'networks',
  extraHosts: 'extra_hosts',
  dnsSearch: 'dns_search',
  dnsOptions: 'dns_opt',
  pidMode: 'pid',
  ipcMode: 'ipc',
  utsMode: 'uts',
  'resources.memory': 'mem_limit',
  'resources.memoryReservation': 'mem_reservation',
  'resources.memorySwap': 'memswap_limit',
  'resources.nanoCpus': 'cpus',
  'resources.pidsLimit': 'pids_limit',
  'resources.shmSize': 'shm_size',
  'resources.ulimits': 'ulimits',
  'security.privileged': 'privileged',
  'security.readOnlyRoot': 'read_only',
  'security.capAdd': 'cap_add',
  'security.capDrop': 'cap_drop',
  'security.options': 'security_opt',
  'security.devices': 'devices',
};

/** Objects whose members count one by one. */
const SPREAD: readonly string[] = ['environment', 'labels', 'resources', 'security', 'healthcheck'];

/** The definition behind a container: everything that makes it differ from a fresh one, except name and bookkeeping labels. */
export function defineContainer(spec: ContainerSpec): Definition {
  const { name: _name, labels, ...rest } = spec;
  return defineRecord({ ...rest, labels: userLabels(labels) });
}

/** The definition behind a network or volume. */
export function defineObject(spec: NetworkSpec | VolumeSpec): Definition {
  const { labels, ...rest } = spec;
  return defineRecord({ ...rest, labels: userLabels(labels) });
}

function defineRecord(record: Readonly<Record<string, unknown>>): Definition {
  const definition: Record<string, string> = {};
  for (const [key, value] of Object.entries(record)) {
    if (isEmpty(value)) continue;
    if (!SPREAD.includes(key)) definition[WORDS[key] ?? key] = digest(value).slice(0, 8);
    else
      for (const [inner, innerValue] of Object.entries(value as object)) {
        if (innerValue === undefined) continue;
        definition[WORDS[`${key}.${inner}`] ?? `${key}.${inner}`] = digest(innerValue).slice(0, 8);
      }
  }
  return definition;
}

/**
 * Value of the label config-hash: the one that docker compose gives the same service, so that neither replaces what the other
 * made. In a container's label, references to other services stand as ids of their containers: `idOf`.
 */
export function hashService(service: Service, idOf?: (service: string) => string): string {
  return createHash('sha256')
    .update(renderForHash(idOf ? resolveReferences(service, idOf) : service))
    .digest('hex');
}

/** Whether the service shares a namespace of another one's container. */
export function refersToServices({ networkMode, pid, ipc }: Service): boolean {
  return [networkMode, pid, ipc].some((mode) => mode?.startsWith('service:'));
}

function resolveReferences(service: Service, idOf: (service: string) => string): Service {
  const resolve = (mode: string) => (mode.startsWith('service:') ? `container:${idOf(mode.slice(8))}` : mode);
  const { networkMode, pid, ipc } = service;
  return {
    ...service,
    ...(networkMode !== undefined && { networkMode: resolve(networkMode) }),
    ...(pid !== undefined && { pid: resolve(pid) }),
    ...(ipc !== undefined && { ipc: resolve(ipc) }),
  };
}

/** Names of attributes that differ, in words of the compose file, sorted: `command changed`, `ports added`. */
export function compareDefinitions(have: Definition, want: Definition): string[] {
  const names = new Set([...Object.keys(have), ...Object.keys(want)]);
  return [...names].sort().flatMap((name) => {
    if (have[name] === want[name]) return [];
    if (have[name] === undefined) return [`${name} added`];
    return [want[name] === undefined ? `${name} removed` : `${name} changed`];
  });
}

/** The definition kept in an object's labels; undefined when another tool made the object. */
export function readDefinition(labels: Labels): Definition | undefined {
  const text = labels[LABEL.definition];
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    return Object.fromEntries(Object.entries(value).filter(([, item]) => typeof item === 'string'));
  } catch {
    return undefined;
  }
}

function userLabels(labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(labels).filter(
      ([key]) => !key.startsWith('com.docker.compose.') && key !== LABEL.definition && key !== LABEL.egress,
    ),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined) return true;
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** Services of one file have most values in common. */
const digests = new Map<string, string>();

function digest(value: unknown): string {
  const json = canonicalJson(value);
  const known = digests.get(json);
  if (known !== undefined) return known;
  const fresh = createHash('sha256').update(json).digest('hex');
  digests.set(json, fresh);
  return fresh;
}

/** JSON with sorted keys, so that the order in the file does not matter where it means nothing. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
