import { readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { Script } from 'node:vm';

/** The folder of all files but the entry. */
const CHUNKS = 'chunks/';

/** What Node takes milliseconds to load and most commands never use: opened when the first thing of it is wanted. */
const HEAVY = new Set(
  [
    'child_process',
    'crypto',
    'dns',
    'fs/promises',
    'http',
    'https',
    'net',
    'readline',
    'stream',
    'stream/promises',
    'timers/promises',
    'tls',
    'zlib',
  ].flatMap((name) => [name, `node:${name}`]),
);

/** One file of the bundle after it ran. */
interface Part {
  readonly exports: object;
  readonly script: Script;
}

/** The files of the bundle; each runs once, when it is first asked for. */
export interface Bundle {
  load(file: string): object;
  /** What has run, by file. */
  readonly parts: ReadonlyMap<string, Part>;
}

type Wrapper = (exports: object, require: (id: string) => object, module: object, file: string, folder: string) => void;

/**
 * The bundle in `directory`. `compiled` holds the code V8 made of its files at build time; what is missing there, or was
 * made by another V8, is compiled from the source.
 */
export function openBundle(directory: string, compiled: string | undefined): Bundle {
  const parts = new Map<string, Part>();
  const load = (file: string): object => {
    const known = parts.get(file);
    if (known) return known.exports;
    const path = `${directory}/${file}`;
    const source = `(function(exports,require,module,__filename,__dirname){${readFileSync(path, 'utf8')}\n})`;
    const cachedData = compiled === undefined ? undefined : readCode(compiled, file);
    const script = new Script(source, { filename: path, ...(cachedData && { cachedData }) });
    const module = { exports: {} };
    // Known before it runs: its parts may refer back to it.
    parts.set(file, { exports: module.exports, script });
    const run: Wrapper = script.runInThisContext();
    run(module.exports, open, module, path, path.slice(0, path.lastIndexOf('/')));
    return module.exports;
  };
  const open = (id: string): object => (id.startsWith('.') ? load(fileOf(id)) : openBuiltin(id));
  return { load, parts };
}

/**
 * Code counts only for a file whose name holds the hash of its content: V8 itself compares no more than the length. The
 * entry has none, and is small.
 */
function codeFile(compiled: string, file: string): string | undefined {
  return file.startsWith(CHUNKS) ? `${compiled}/${file.slice(CHUNKS.length)}.bin` : undefined;
}

/** Keeps what V8 has compiled of the bundle so far. */
export function keepCode({ parts }: Bundle, compiled: string): void {
  for (const [file, { script }] of parts) {
    const path = codeFile(compiled, file);
    if (path !== undefined) writeFileSync(path, script.createCachedData());
  }
}

/** The two halves of the program: each runs under its own flags, and V8 takes no code that was made under others. */
export const HALVES = ['command', 'daemon'] as const;
export type Half = (typeof HALVES)[number];

/** The folder of the code that this Node can use. */
export function compiledFolder(directory: string, half: Half): string {
  return `${directory}/compiled/${process.version}-${process.arch}/${half}`;
}

/** `./chunks/x.cjs` of the entry and `./x.cjs` of a chunk are the same file. */
function fileOf(id: string): string {
  return `${CHUNKS}${id.slice(id.lastIndexOf('/') + 1)}`;
}

/** What Node has at hand: a module of that name would be built from its source first. */
const AT_HAND: Readonly<Record<string, () => object>> = {
  'node:path/posix': () => posix,
  'node:process': () => process,
};

function openBuiltin(id: string): object {
  const atHand = AT_HAND[id];
  if (atHand) return atHand();
  const open = (): object => {
    const builtin = process.getBuiltinModule(id);
    if (builtin === undefined) throw new Error(`the bundle asks for ${id}, which this Node does not have`);
    return builtin;
  };
  return HEAVY.has(id) ? openedOnUse(open) : open();
}

/** Stands for a module until something of it is used. */
function openedOnUse(open: () => object): object {
  const stand: object = new Proxy(
    {},
    {
      get: (_, key) => Reflect.get(open(), key),
      // What is set on an object that inherits from the module stays there, and does not open it.
      set: (_, key, value, receiver) =>
        receiver === stand
          ? Reflect.set(open(), key, value)
          : Reflect.defineProperty(receiver, key, { value, writable: true, enumerable: true, configurable: true }),
      has: (_, key) => Reflect.has(open(), key),
      ownKeys: () => Reflect.ownKeys(open()),
      getOwnPropertyDescriptor: (_, key) => {
        const found = Reflect.getOwnPropertyDescriptor(open(), key);
        return found && { ...found, configurable: true };
      },
    },
  );
  return stand;
}

function readCode(compiled: string, file: string): Buffer | undefined {
  const path = codeFile(compiled, file);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
