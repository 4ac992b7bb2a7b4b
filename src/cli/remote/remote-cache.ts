import { randomBytes } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import { TscError } from '../../core/index.ts';
import {
  hashTexts,
  isErrno,
  listDirectory,
  lstatIfExists,
  makeDirectory,
  movePath,
  pathExists,
  readTextIfExists,
  removeTree,
  writeAtomically,
} from '../../host/index.ts';

/** Trees that are being fetched. */
const UNFINISHED = '.new-';
/** No fetch takes that long. */
const ABANDONED_MS = 24 * 3_600_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** What an address meant when it was last asked for. */
export interface Remembered {
  /** Name of the kept tree. */
  readonly key: string;
  /** When, as ISO text. */
  readonly at: string;
}

/** Trees of remote files, each under the name of its content, so that one is never changed: `$XDG_CACHE_HOME/tscompose/remote`. */
export class RemoteCache {
  readonly #folder: string;

  constructor(environment: Environment) {
    const set = environment['XDG_CACHE_HOME'] ?? '';
    const caches = isAbsolute(set) ? set : join(environment['HOME'] || '/root', '.cache');
    this.#folder = join(caches, 'tscompose', 'remote');
  }

  /** The kept tree, or undefined. */
  async find(key: string): Promise<string | undefined> {
    const path = join(this.#folder, key);
    if (!(await pathExists(path))) return undefined;
    await this.#check();
    return path;
  }

  /** Keeps the tree that `fill` makes in an empty folder; an unfinished one is removed. */
  async keep(key: string, fill: (folder: string) => Promise<void>): Promise<string> {
    await makeDirectory(this.#folder);
    await this.#check();
    await this.#sweep();
    const path = join(this.#folder, key);
    const work = join(this.#folder, `${UNFINISHED}${randomBytes(8).toString('hex')}`);
    await makeDirectory(work);
    try {
      await fill(work);
      await movePath(work, path);
    } catch (error) {
      await removeTree(work);
      // Another command was faster; its content has the same name, so it is the same.
      if (!isErrno(error, 'EEXIST', 'ENOTEMPTY')) throw error;
    }
    return path;
  }

  async remember(address: string, key: string): Promise<void> {
    const note: Remembered = { key, at: new Date().toISOString() };
    await writeAtomically(this.#noteOf(address), JSON.stringify(note));
  }

  /** The tree that an address meant when it was last asked for. */
  async recall(address: string): Promise<(Remembered & { readonly path: string }) | undefined> {
    const text = await readTextIfExists(this.#noteOf(address));
    if (text === undefined) return undefined;
    const { key, at } = JSON.parse(text) as { readonly key?: unknown; readonly at?: unknown };
    if (typeof key !== 'string' || typeof at !== 'string' || !/^[\w-]+$/.test(key)) return undefined;
    const path = await this.find(key);
    return path === undefined ? undefined : { key, at, path };
  }

  /** Removes what commands left behind that were killed while they fetched. */
  async #sweep(): Promise<void> {
    for (const name of await listDirectory(this.#folder)) {
      if (!name.startsWith(UNFINISHED)) continue;
      const path = join(this.#folder, name);
      const found = await lstatIfExists(path);
      if (found && Date.now() - found.mtimeMs > ABANDONED_MS) await removeTree(path);
    }
  }

  #noteOf(address: string): string {
    return join(this.#folder, `${hashTexts([address])}.json`);
  }

  /** What lies here is used without being checked again, so nobody else may write to it. */
  async #check(): Promise<void> {
    const found = await lstatIfExists(this.#folder);
    if (found?.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0) return;
    throw new TscError('cli/denied', `${this.#folder} is open to other users`, {
      hint: 'remove it; it is made anew, for you alone',
    });
  }
}
