import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { OBJECT_NAME, TscError } from '../../core/index.ts';
import { type Clock, directorySize, makeDirectory, timestamp } from '../../host/index.ts';
import type { EventLog } from '../events/index.ts';
import { createKeyedLock, openRecordStore, type RecordStore } from '../state/index.ts';
import {
  ANONYMOUS_VOLUME_LABEL,
  type Volume,
  type VolumeFilter,
  type VolumeService,
  type VolumeSpec,
} from './volume.ts';

export interface VolumeServiceOptions {
  /** `<data>/volumes`. */
  readonly directory: string;
  readonly events: EventLog;
  readonly clock: Clock;
  /** Ids of the containers that refer to a volume. */
  readonly usersOf: (name: string) => readonly string[];
}

interface VolumeRecord {
  readonly name: string;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous: boolean;
}

/** Opens the volumes of a directory; half-made ones are removed. */
export async function createVolumeService(options: VolumeServiceOptions): Promise<VolumeService> {
  const store = await openRecordStore(options.directory, parseRecord);
  const { records, incomplete } = await store.load();
  for (const name of incomplete) await store.remove(name);
  return new LocalVolumes(options, store, new Map(records));
}

function parseRecord(value: unknown): VolumeRecord {
  const record = value as Partial<VolumeRecord> | null;
  if (typeof record?.name !== 'string' || typeof record.created !== 'string')
    throw new TscError('state/corrupt', 'not a volume record');
  return {
    name: record.name,
    created: record.created,
    labels: record.labels ?? {},
    options: record.options ?? {},
    anonymous: record.anonymous ?? false,
  };
}

class LocalVolumes implements VolumeService {
  readonly #options: VolumeServiceOptions;
  readonly #store: RecordStore<VolumeRecord>;
  readonly #records: Map<string, VolumeRecord>;
  readonly #lock = createKeyedLock();

  constructor(options: VolumeServiceOptions, store: RecordStore<VolumeRecord>, records: Map<string, VolumeRecord>) {
    this.#options = options;
    this.#store = store;
    this.#records = records;
  }

  async create(spec: VolumeSpec): Promise<Volume> {
    const anonymous = !spec.name;
    const name = spec.name || randomBytes(32).toString('hex');
    checkSpec(name, spec);
    return this.#lock.run(name, async () => {
      const existing = this.#records.get(name);
      if (existing) return this.#same(existing, spec);
      const record: VolumeRecord = {
        name,
        created: timestamp(this.#options.clock),
        labels: anonymous ? { ...spec.labels, [ANONYMOUS_VOLUME_LABEL]: '' } : (spec.labels ?? {}),
        options: spec.driverOptions ?? {},
        anonymous,
      };
      await this.#store.prepare(name);
      await makeDirectory(this.#dataOf(name), 0o755);
      await this.#store.save(name, record, { durable: true });
      this.#records.set(name, record);
      this.#publish('create', name);
      return this.#show(record);
    });
  }

  inspect(name: string): Volume {
    return this.#show(this.#get(name));
  }

  list(filter: VolumeFilter = {}): readonly Volume[] {
    return [...this.#records.values()]
      .filter((record) => this.#matches(record, filter))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((record) => this.#show(record));
  }

  remove(name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    return this.#lock.run(name, async () => {
      if (options.force && !this.#records.has(name)) return;
      this.#get(name);
      const users = this.#options.usersOf(name);
      if (users.length > 0) {
        throw new TscError('volume/in-use', `volume ${name} is in use by container ${users.join(', ')}`, {
          hint: 'remove the container first',
        });
      }
      this.#records.delete(name);
      await this.#store.remove(name);
      this.#publish('destroy', name);
    });
  }

  async prune(filter: Parameters<VolumeService['prune']>[0] = {}) {
    const deleted: string[] = [];
    let spaceReclaimed = 0;
    for (const record of [...this.#records.values()]) {
      const wanted =
        (filter.all || record.anonymous) &&
        (filter.label ?? []).every((label) => hasLabel(record.labels, label)) &&
        !(filter.labelNot ?? []).some((label) => hasLabel(record.labels, label));
      if (!wanted || this.#options.usersOf(record.name).length > 0) continue;
      const size = await directorySize(this.#dataOf(record.name));
      await this.remove(record.name);
      deleted.push(record.name);
      spaceReclaimed += size;
    }
    return { deleted, spaceReclaimed };
  }

  async usage(name: string) {
    this.#get(name);
    return {
      sizeBytes: await directorySize(this.#dataOf(name)),
      references: this.#options.usersOf(name).length,
    };
  }

  #get(name: string): VolumeRecord {
    const record = this.#records.get(name);
    if (!record) throw new TscError('volume/not-found', `no such volume: ${name}`);
    return record;
  }

  #same(existing: VolumeRecord, spec: VolumeSpec): Volume {
    if (spec.driverOptions && JSON.stringify(existing.options) !== JSON.stringify(spec.driverOptions)) {
      throw new TscError('volume/conflict', `volume ${existing.name} already exists with other options`);
    }
    return this.#show(existing);
  }

  #dataOf(name: string): string {
    return join(this.#store.directoryOf(name), '_data');
  }

  #show(record: VolumeRecord): Volume {
    return { ...record, driver: 'local', mountpoint: this.#dataOf(record.name) };
  }

  #matches(record: VolumeRecord, filter: VolumeFilter): boolean {
    const used = () => this.#options.usersOf(record.name).length > 0;
    return (
      (!filter.name?.length || filter.name.some((part) => record.name.includes(part))) &&
      (!filter.driver?.length || filter.driver.includes('local')) &&
      (filter.label ?? []).every((label) => hasLabel(record.labels, label)) &&
      (filter.dangling === undefined || filter.dangling !== used())
    );
  }

  #publish(action: string, name: string): void {
    this.#options.events.publish({ type: 'volume', action, actor: { id: name, attributes: { driver: 'local' } } });
  }
}

function checkSpec(name: string, spec: VolumeSpec): void {
  if (spec.driver && spec.driver !== 'local') {
    throw new TscError('volume/unsupported', `volume driver ${spec.driver} is not supported`, {
      hint: 'use the local driver',
    });
  }
  if (!OBJECT_NAME.test(name) || name.length < 2 || name.length > 255) {
    throw new TscError('volume/invalid', `invalid volume name ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'two or more letters, digits, _ . -, beginning with a letter or digit; a host path must be absolute',
    });
  }
  const options = Object.keys(spec.driverOptions ?? {});
  if (options.length > 0) {
    throw new TscError('volume/unsupported', `volume driver option ${options.join(', ')} is not supported`, {
      hint: 'bind mount a directory of the host instead',
    });
  }
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  const key = at < 0 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
}
