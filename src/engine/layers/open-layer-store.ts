import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Digest, digestHex, isDigest, parseDigest, TscError } from '../../core/index.ts';
import {
  directorySize,
  isErrno,
  listDirectory,
  makeDirectory,
  movePath,
  pathExists,
  readJsonIfExists,
  readTextIfExists,
  removeTree,
  writeAtomically,
} from '../../host/index.ts';
import { createKeyedLock, type KeyedLock } from '../state/index.ts';
import { chainIds } from './chain.ts';
import type { EnsureOptions, LayerContent, LayerRecord, LayerStore, LayerStoreOptions } from './layer-store.ts';
import type { ApplyReport, LayerTool } from './layer-tool.ts';

const STAGING = 'staging';
const TREE = 'fs';
const RECORD = 'layer.json';
const PARALLEL_UNPACKS = 3;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * On disk: `<diff id>/fs` for a layer that looks the same on every stack; `<chain id>/fs` for one that had to be settled
 * above certain layers (implied directories, hard links to files below). The two cannot collide: for the lowest
 * layer both ids are equal, and there is nothing below to settle.
 */
export async function openLayerStore(options: LayerStoreOptions): Promise<LayerStore> {
  await makeDirectory(options.directory);
  // What a crash left half unpacked.
  await removeTree(join(options.directory, STAGING));
  await makeDirectory(join(options.directory, STAGING));
  const boot = (await readTextIfExists(BOOT_ID))?.trim() ?? '';
  await dropUnsynced(options.directory, boot);
  return new DiskLayerStore(options, boot);
}

/**
 * Layers are not synced before they are used: that would cost every build step. A layer whose record does not say
 * `synced` and comes from another boot may have lost its files in a power cut; its archive is stored, so it goes.
 */
async function dropUnsynced(directory: string, boot: string): Promise<void> {
  for (const name of await listDirectory(directory)) {
    if (!isDigest(`sha256:${name}`)) continue;
    const record = await readRecord(join(directory, name)).catch(() => undefined);
    if (record && (record.synced || record.boot === boot)) continue;
    const graveyard = join(directory, STAGING, randomBytes(12).toString('hex'));
    await movePath(join(directory, name), graveyard);
    await removeTree(graveyard);
  }
}

interface StoredRecord {
  readonly diffId: string;
  readonly bytes: number;
  readonly entries: number;
  readonly synced: boolean;
  readonly boot: string;
}

async function readRecord(directory: string): Promise<StoredRecord | undefined> {
  const data = await readJsonIfExists(join(directory, RECORD));
  if (typeof data !== 'object' || data === null) return undefined;
  const { diff_id, bytes, entries, synced, boot } = data as Record<string, unknown>;
  return {
    diffId: String(diff_id),
    bytes: typeof bytes === 'number' ? bytes : 0,
    entries: typeof entries === 'number' ? entries : 0,
    synced: synced === true,
    boot: typeof boot === 'string' ? boot : '',
  };
}

async function writeRecord(directory: string, { diffId, ...rest }: StoredRecord): Promise<void> {
  await writeAtomically(join(directory, RECORD), JSON.stringify({ diff_id: diffId, ...rest }));
}

class DiskLayerStore implements LayerStore {
  readonly tool: LayerTool;
  readonly #directory: string;
  readonly #lock: KeyedLock = createKeyedLock();
  /** Stacks being ensured: what is unpacked for them is not yet referenced by any image. */
  readonly #busy = new Map<string, number>();

  readonly #boot: string;
  #unsynced = new Set<string>();
  #syncing = false;

  constructor(options: LayerStoreOptions, boot: string) {
    this.#boot = boot;
    this.tool = options.tool;
    this.#directory = options.directory;
  }

  async ensure(layers: readonly LayerContent[], options: EnsureOptions = {}): Promise<string[]> {
    const ids = layers.map((layer) => layer.diffId);
    const chain = chainIds(ids);
    const keys = [...ids, ...chain].map(digestHex);
    for (const key of keys) this.#busy.set(key, (this.#busy.get(key) ?? 0) + 1);
    try {
      await this.#unpackMissing(layers, chain, options);
      const directories = await this.directories(ids);
      if (!directories) throw new TscError('layer/bug', 'a layer vanished while its stack was unpacked');
      return directories;
    } finally {
      for (const key of keys) this.#release(key);
    }
  }

  #release(key: string): void {
    const count = (this.#busy.get(key) ?? 1) - 1;
    if (count > 0) this.#busy.set(key, count);
    else this.#busy.delete(key);
  }

  /** Unpacking runs side by side; settling waits for all layers below. */
  async #unpackMissing(layers: readonly LayerContent[], chain: readonly Digest[], options: EnsureOptions) {
    const settled: Promise<void>[] = [];
    const slots = Array.from({ length: PARALLEL_UNPACKS }, () => Promise.resolve<unknown>(undefined));
    for (const [index, layer] of layers.entries()) {
      const chainId = chain[index] ?? layer.diffId;
      const below = Promise.all(settled.slice());
      below.catch(() => undefined);
      const slot = index % PARALLEL_UNPACKS;
      const before = slots[slot];
      const staged = this.#lock.run(layer.diffId, async () => {
        await before;
        options.signal?.throwIfAborted();
        if (await this.#find(layer.diffId, chainId)) return undefined;
        return await this.#unpack(layer, chainId, options);
      });
      slots[slot] = staged.catch(() => undefined);
      settled.push(
        staged.then(async (work) => {
          if (work) await this.#settle(work, below, layers.slice(0, index), options);
          options.onLayer?.(layer.diffId, work ? 'unpacked' : 'present');
        }),
      );
    }
    const results = await Promise.allSettled(settled);
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  async #unpack(layer: LayerContent, chainId: Digest, options: EnsureOptions): Promise<StagedLayer | undefined> {
    const staging = join(this.#directory, STAGING, randomBytes(12).toString('hex'));
    await makeDirectory(staging);
    const tree = join(staging, TREE);
    const pending = join(staging, 'pending');
    try {
      await makeDirectory(tree, 0o755);
      const report = await this.tool.apply(tree, await layer.open(), {
        overlay: true,
        pending,
        ...(options.signal && { signal: options.signal }),
      });
      if (report.diffId !== layer.diffId)
        throw new TscError('layer/corrupt', `layer ${layer.diffId} unpacks to content with digest ${report.diffId}`, {
          hint: 'the image is damaged or was tampered with; get it again',
        });
      const work: StagedLayer = { staging, pending, report, name: digestHex(layer.diffId) };
      if (report.pending > 0 && chainId !== layer.diffId) return { ...work, name: digestHex(chainId) };
      // Placed while the lock on the diff id is held: a second image with this layer finds it.
      await this.#place(work);
      return { ...work, placed: true };
    } catch (error) {
      await removeTree(staging);
      throw error;
    }
  }

  async #settle(
    work: StagedLayer,
    below: Promise<unknown>,
    layersBelow: readonly LayerContent[],
    options: EnsureOptions,
  ): Promise<void> {
    if (work.placed) return;
    try {
      await below;
      options.signal?.throwIfAborted();
      const lower = await this.directories(layersBelow.map((layer) => layer.diffId));
      if (!lower) throw new TscError('layer/bug', 'the layers below are not unpacked');
      await this.tool.fixUp(join(work.staging, TREE), lower, work.pending);
      await this.#place(work);
    } catch (error) {
      await removeTree(work.staging);
      throw error;
    }
  }

  async #place({ staging, pending, report, name }: StagedLayer): Promise<void> {
    await removeTree(pending);
    await this.#writeRecord(staging, report);
    try {
      await movePath(staging, join(this.#directory, name), true);
      this.#syncLater(name);
    } catch (error) {
      // Another stack with the same chain was faster.
      if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw error;
      await removeTree(staging);
    }
  }

  async #writeRecord(directory: string, { diffId, bytes, entries }: LayerRecord): Promise<void> {
    await writeRecord(directory, { diffId, bytes, entries, synced: false, boot: this.#boot });
  }

  /** Syncs in the background, once for all layers that came meanwhile, and notes it in their records. */
  #syncLater(name: string): void {
    this.#unsynced.add(name);
    if (this.#syncing) return;
    this.#syncing = true;
    const work = async () => {
      while (this.#unsynced.size > 0) {
        const names = [...this.#unsynced];
        this.#unsynced.clear();
        await this.tool.sync(this.#directory);
        for (const item of names) {
          const directory = join(this.#directory, item);
          const record = await readRecord(directory);
          if (record) await writeRecord(directory, { ...record, synced: true });
        }
      }
    };
    work()
      // Then the layer only lives until the next boot and is unpacked again.
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = false;
      });
  }

  /** Directory of a layer, by its own id first. */
  async #find(diffId: Digest, chainId: Digest): Promise<string | undefined> {
    for (const id of [diffId, chainId]) {
      const directory = join(this.#directory, digestHex(id));
      if (await pathExists(join(directory, RECORD))) return directory;
    }
    return undefined;
  }

  async directories(diffIds: readonly Digest[]): Promise<string[] | undefined> {
    const chain = chainIds(diffIds);
    const found = await Promise.all(diffIds.map((diffId, index) => this.#find(diffId, chain[index] ?? diffId)));
    const present = found.filter((directory) => directory !== undefined);
    return present.length === found.length ? present.reverse().map((directory) => join(directory, TREE)) : undefined;
  }

  adopt(diffId: Digest, upper: string): Promise<void> {
    return this.#lock.run(diffId, async () => {
      if (await this.#find(diffId, diffId)) return await removeTree(upper);
      const staging = join(this.#directory, STAGING, randomBytes(12).toString('hex'));
      await makeDirectory(staging);
      try {
        await movePath(upper, join(staging, TREE));
        const bytes = await directorySize(join(staging, TREE));
        await this.#writeRecord(staging, { diffId, bytes, entries: 0 });
        await movePath(staging, join(this.#directory, digestHex(diffId)), true);
        this.#syncLater(digestHex(diffId));
      } catch (error) {
        await removeTree(staging);
        throw error;
      }
    });
  }

  async record(diffId: Digest, below: readonly Digest[]): Promise<LayerRecord | undefined> {
    const directory = await this.#find(diffId, chainIds([...below, diffId]).at(-1) ?? diffId);
    const data = directory === undefined ? undefined : await readRecord(directory);
    return data && { diffId, bytes: data.bytes, entries: data.entries };
  }

  async removeUnreferenced(keep: Iterable<readonly Digest[]>, among?: Iterable<readonly Digest[]>): Promise<Digest[]> {
    const wanted = directoryNames(keep);
    const candidates = among && directoryNames(among);
    const removed: Digest[] = [];
    for (const name of await listDirectory(this.#directory)) {
      const id = `sha256:${name}`;
      if (!isDigest(id) || wanted.has(name) || candidates?.has(name) === false) continue;
      if (this.#busy.has(name) || this.#lock.isHeld(id)) continue;
      const graveyard = join(this.#directory, STAGING, randomBytes(12).toString('hex'));
      await movePath(join(this.#directory, name), graveyard);
      await removeTree(graveyard);
      removed.push(parseDigest(id));
    }
    return removed;
  }
}

/** Names under which layers of these stacks may be stored. */
function directoryNames(stacks: Iterable<readonly Digest[]>): Set<string> {
  const names = new Set<string>();
  for (const stack of stacks) for (const id of [...stack, ...chainIds(stack)]) names.add(digestHex(id));
  return names;
}

interface StagedLayer {
  readonly staging: string;
  readonly pending: string;
  readonly report: ApplyReport;
  readonly name: string;
  readonly placed?: boolean;
}
