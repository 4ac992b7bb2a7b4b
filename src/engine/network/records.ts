import { join } from 'node:path';
import { parseObjectId, TscError } from '../../core/index.ts';
import {
  listDirectory,
  makeDirectory,
  readJsonIfExists,
  removeFile,
  removeTemporaries,
  syncDirectory,
  writeAtomically,
} from '../../host/index.ts';
import type { Adoption, AttachmentSpec, BoundPort, Endpoint, NetworkRecord, Readiness } from './network.ts';
import { type Family, parseAddress, parseSubnet } from './subnet.ts';

/** A container's networking as it is recorded: what it asked for, what it got, and what is published now. */
export interface Attachment extends Pick<AttachmentSpec, 'containerId' | 'name' | 'dns' | 'sysctls' | 'egress'> {
  readonly endpoints: readonly Endpoint[];
  readonly bound: readonly BoundPort[];
  /** Names are visible and ports reachable (between publish and withdraw). */
  readonly active: boolean;
  /** Absent: ready. */
  readonly readiness?: Readiness;
  /** Id of the container whose ports it shares until that one ends. */
  readonly replaces?: string;
}

export interface Loaded {
  readonly networks: readonly NetworkRecord[];
  readonly attachments: readonly Attachment[];
  readonly notes: readonly string[];
}

/** Records of this room: `networks/<id>.json`, `endpoints/<container id>.json`. */
export interface Records {
  saveNetwork(network: NetworkRecord): Promise<void>;
  removeNetworks(ids: readonly string[]): Promise<void>;
  /** Run state as well as addresses: survives a kill of the daemon, a power cut only by luck; addresses are then given anew. */
  saveAttachment(attachment: Attachment): Promise<void>;
  removeAttachment(containerId: string): Promise<void>;
  /** What cannot be read is named in `notes` and left where it is. */
  load(): Promise<Loaded>;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Absent is fine. */
function isPool(pool: NetworkRecord['pool'], family: Family): boolean {
  if (!pool) return true;
  const range = pool.ipRange === undefined ? family : parseSubnet(pool.ipRange)?.family;
  return [parseSubnet(pool.subnet)?.family, parseAddress(pool.gateway)?.family, range].every((one) => one === family);
}

function isAddress(text: string | undefined, family: Family): boolean {
  return text === undefined || text === '' || parseAddress(text)?.family === family;
}

/** Enough to work with safely: everything that reaches the kernel or a path is checked, the rest is ours. */
function parseNetwork(value: unknown): NetworkRecord {
  if (!isObject(value) || typeof value['name'] !== 'string' || typeof value['id'] !== 'string')
    throw new TscError('network/corrupt', 'it is no network record');
  parseObjectId(value['id']);
  const network = value as unknown as NetworkRecord;
  if (!isPool(network.pool, 4) || !isPool(network.pool6, 6))
    throw new TscError('network/corrupt', 'one of its subnets or gateways is damaged');
  if (network.bridge !== undefined && !/^[a-zA-Z0-9_.-]{1,15}$/.test(network.bridge))
    throw new TscError('network/corrupt', 'its bridge name is damaged');
  if (network.adopted !== undefined && !isAdoption(network.adopted, network.bridge ?? ''))
    throw new TscError('network/corrupt', 'what it changed of its bridge is damaged');
  return network;
}

function isAdoption({ addresses, sysctls }: Adoption, bridge: string): boolean {
  const ours = ['ipv4', 'ipv6'].map((family) => `net/${family}/conf/${bridge}/`);
  return (
    Array.isArray(addresses) &&
    addresses.every((address) => parseSubnet(address) !== undefined) &&
    isObject(sysctls) &&
    Object.entries(sysctls).every(
      ([name, value]) => ours.some((prefix) => name.startsWith(prefix)) && /^[01]$/.test(value),
    )
  );
}

function parseAttachment(value: unknown): Attachment {
  if (
    !isObject(value) ||
    typeof value['containerId'] !== 'string' ||
    !Array.isArray(value['endpoints']) ||
    !Array.isArray(value['bound'])
  )
    throw new TscError('network/corrupt', 'it is no endpoint record');
  const attachment = value as unknown as Attachment;
  for (const endpoint of attachment.endpoints) {
    if (!isAddress(endpoint.address, 4) || !isAddress(endpoint.address6, 6))
      throw new TscError('network/corrupt', 'an address in it is damaged');
  }
  return attachment;
}

async function readAll<T>(directory: string, parse: (value: unknown) => T, notes: string[]): Promise<T[]> {
  const found: T[] = [];
  for (const name of await listDirectory(directory)) {
    if (!name.endsWith('.json') || name.startsWith('.')) continue;
    const path = join(directory, name);
    try {
      const value = await readJsonIfExists(path);
      if (value !== undefined) found.push(parse(value));
    } catch (error) {
      notes.push(`${path} is ignored: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return found;
}

/** The records below a data directory; `load` comes first and makes the two directories. */
export function openRecords(dataDirectory: string): Records {
  const networks = join(dataDirectory, 'networks');
  const endpoints = join(dataDirectory, 'endpoints');
  const text = (value: object) => `${JSON.stringify(value)}\n`;
  return {
    saveNetwork: (network) => writeAtomically(join(networks, `${network.id}.json`), text(network), { durable: true }),
    async removeNetworks(ids) {
      await Promise.all(ids.map((id) => removeFile(join(networks, `${id}.json`))));
      await syncDirectory(networks);
    },
    saveAttachment: (attachment) =>
      writeAtomically(join(endpoints, `${attachment.containerId}.json`), text(attachment)),
    removeAttachment: (containerId) => removeFile(join(endpoints, `${containerId}.json`)),
    async load() {
      await makeDirectory(networks);
      await makeDirectory(endpoints);
      await removeTemporaries(networks);
      await removeTemporaries(endpoints);
      const notes: string[] = [];
      return {
        networks: await readAll(networks, parseNetwork, notes),
        attachments: await readAll(endpoints, parseAttachment, notes),
        notes,
      };
    },
  };
}
