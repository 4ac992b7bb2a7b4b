import { join } from 'node:path';
import {
  listEntries,
  makeDirectory,
  pathExists,
  readJsonIfExists,
  removeTree,
  syncDirectory,
  writeAtomically,
} from '../../host/index.ts';

/** Objects of one kind: `<directory>/<key>/record.json`; other files of the object live beside it. */
export interface RecordStore<T> {
  directoryOf(key: string): string;
  /** Makes the object's directory. */
  prepare(key: string): Promise<string>;
  /** Durable: survives a power cut once it resolves. Otherwise only a kill of the daemon. */
  save(key: string, record: T, options?: { readonly durable?: boolean }): Promise<void>;
  /** Removes the object: first its record, so that a crash leaves rubbish instead of half an object. */
  remove(key: string): Promise<void>;
  /**
   * Reads all objects. Directories without a record are half-made or half-removed ones: `incomplete`. A record that
   * cannot be read or does not pass the check is `damaged` and stays where it is.
   */
  load(): Promise<{
    readonly records: ReadonlyMap<string, T>;
    readonly incomplete: readonly string[];
    readonly damaged: readonly { readonly key: string; readonly error: unknown }[];
  }>;
}

/** The store in a directory, which is made when absent. `parse` checks what was read and throws when it is not a record. */
export async function openRecordStore<T>(directory: string, parse: (value: unknown) => T): Promise<RecordStore<T>> {
  await makeDirectory(directory);
  const directoryOf = (key: string) => join(directory, key);
  const fileOf = (key: string) => join(directory, key, 'record.json');
  return {
    directoryOf,
    async prepare(key) {
      await makeDirectory(directoryOf(key));
      return directoryOf(key);
    },
    async save(key, record, options = {}) {
      const durable = options.durable ?? false;
      await writeAtomically(fileOf(key), `${JSON.stringify(record)}\n`, { durable });
      if (durable) await syncDirectory(directory);
    },
    async remove(key) {
      await removeTree(fileOf(key));
      await removeTree(directoryOf(key));
    },
    async load() {
      const records = new Map<string, T>();
      const incomplete: string[] = [];
      const damaged: { key: string; error: unknown }[] = [];
      for (const entry of await listEntries(directory)) {
        if (!entry.isDirectory()) continue;
        try {
          const value = await readJsonIfExists(fileOf(entry.name));
          if (value === undefined) incomplete.push(entry.name);
          else records.set(entry.name, parse(value));
        } catch (error) {
          if (await pathExists(directoryOf(entry.name))) damaged.push({ key: entry.name, error });
        }
      }
      return { records, incomplete, damaged };
    },
  };
}
