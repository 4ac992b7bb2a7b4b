import { basename, dirname, join } from 'node:path/posix';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Analysis, analyse, type RemoteFiles } from '../compose/index.ts';
import { readBytesIfExists } from '../host/index.ts';

const MAIN = /^(?:docker-)?compose\.ya?ml$/;
const OVERRIDE = /^(?:docker-)?compose\.override\.ya?ml$/;
const VARIANT = /^(?:docker-)?compose\.[\w.-]+\.ya?ml$/;
const MAIN_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/** The open documents over the files of the disk. */
export class Workspace {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #remote: RemoteFiles | undefined;
  readonly #open = new Map<string, string>();
  #analyses = new Map<string, Promise<Analysis>>();

  constructor(environment: Readonly<Record<string, string | undefined>>, remote?: RemoteFiles) {
    this.#environment = environment;
    this.#remote = remote;
  }

  /** Paths of the documents that are open. */
  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  set(path: string, text: string): void {
    this.#open.set(path, text);
    this.#analyses = new Map();
  }

  close(path: string): void {
    this.#open.delete(path);
    this.#analyses = new Map();
  }

  /** A file on disk changed: what was found may be wrong. */
  forget(): void {
    this.#analyses = new Map();
  }

  /** The application that a document belongs to, as the command would load it in the document's folder. */
  analyse(path: string): Promise<Analysis> {
    const known = this.#analyses.get(path);
    if (known) return known;
    const started = this.#load(path);
    this.#analyses.set(path, started);
    return started;
  }

  async #load(path: string): Promise<Analysis> {
    const files = await this.#filesOf(path);
    const reader = { read: (file: string) => this.#read(file) };
    const remote = this.#remote && { remote: this.#remote };
    return analyse({ files, currentDirectory: dirname(path), environment: this.#environment, reader, ...remote });
  }

  async #read(path: string): Promise<Uint8Array | string | undefined> {
    return this.#open.get(path) ?? (await readBytesIfExists(path));
  }

  /** A main file takes its override with it; an override or variant stands on the main file of its folder. */
  async #filesOf(path: string): Promise<readonly string[]> {
    const name = basename(path);
    const folder = dirname(path);
    if (MAIN.test(name)) {
      const prefix = name.startsWith('docker-') ? 'docker-' : '';
      const override = await this.#first(folder, [`${prefix}compose.override.yml`, `${prefix}compose.override.yaml`]);
      return override === undefined ? [path] : [path, override];
    }
    if (!OVERRIDE.test(name) && !VARIANT.test(name)) return [path];
    const main = await this.#first(folder, MAIN_NAMES);
    return main === undefined ? [path] : [main, path];
  }

  async #first(folder: string, names: readonly string[]): Promise<string | undefined> {
    for (const name of names) {
      const path = join(folder, name);
      if ((await this.#read(path).catch(() => undefined)) !== undefined) return path;
    }
    return undefined;
  }
}

/** The path of a document; undefined for one that is no file. */
export function pathOf(uri: string): string | undefined {
  return uri.startsWith('file:') ? fileURLToPath(uri) : undefined;
}

/** The address of a file, as editors write it. */
export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}
