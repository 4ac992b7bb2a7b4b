import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram, spawnProgram } from '../../src/host/index.ts';
import { LAYER_PROGRAM } from '../kit/stores.ts';
import { type Measure, timed } from './measure.ts';

const OURS = 'tscompose-layer';
/** What unpacks an archive of this kind into ROOT from stdin. `tar` runs the decompressor beside itself, as it does with `-z`. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  [OURS]: [LAYER_PROGRAM, 'apply', '--overlay', '--root', 'ROOT'],
  'tar -x': ['tar', '-xp', '--xattrs', '-f', '-', '-C', 'ROOT'],
  'bsdtar -x': ['bsdtar', '-xpf', '-', '-C', 'ROOT'],
};
const FILES = 30_000;

export const LAYER_CONTENDERS = Object.keys(COMMANDS);

/** Unpacking a layer of 30,000 files and 400 MiB, as it is and compressed, below `directory` (in memory: the work, not the disk). */
export async function layerMeasures(directory: string): Promise<readonly Measure[]> {
  const tree = join(directory, 'layer-tree');
  writeTree(tree);
  const measures: Measure[] = [];
  for (const [kind, pack, flag] of [
    ['plain', 'cat', []],
    ['gzip', 'gzip -6', ['-z']],
    ['zstd', 'zstd -q -3', ['--zstd']],
  ] as const) {
    const archive = join(directory, `layer-${kind}`);
    const made = await runProgram('sh', ['-c', `tar -cf - -C "$1" . | ${pack} > "$2"`, 'sh', tree, archive]);
    if (made.status !== 0) throw new Error(`cannot make ${archive}: ${made.stderr}`);
    measures.push({
      name: `unpack ${FILES} files, 400 MiB, ${kind}`,
      rounds: 3,
      once: (name) => unpackOnce(name, flag, archive, join(directory, 'layer-out')),
    });
  }
  rmSync(tree, { recursive: true });
  return measures;
}

async function unpackOnce(name: string, flag: readonly string[], archive: string, root: string): Promise<number> {
  mkdirSync(root);
  const [file = '', ...rest] = COMMANDS[name] ?? [];
  const args = rest.map((arg) => (arg === 'ROOT' ? root : arg));
  if (file === 'tar') args.unshift(...flag);
  const input = openSync(archive, 'r');
  try {
    return await timed(() => runWithInput(file, args, input));
  } finally {
    closeSync(input);
    rmSync(root, { recursive: true });
  }
}

function runWithInput(file: string, args: readonly string[], input: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawnProgram(file, args, { stdio: [input, 'ignore', 'inherit'] });
  child.on('error', reject);
  child.on('close', (status) => (status === 0 ? resolve() : reject(new Error(`${file} ended with ${status}`))));
  return promise;
}

/** Files of very different sizes with text that compresses about as programs do. */
function writeTree(root: string): void {
  const block = Buffer.concat(
    Array.from({ length: 4096 }, (_, index) => {
      const digest = createHash('sha512').update(String(index)).digest();
      return Buffer.concat([digest, Buffer.from(digest.toString('hex').slice(0, 64))]);
    }),
  );
  for (let index = 0; index < FILES; index += 1) {
    const directory = join(root, `d${index % 300}`, `e${index % 7}`);
    if (index < 2100) mkdirSync(directory, { recursive: true });
    // One in a hundred is large and has most of the bytes.
    const size = index % 100 === 0 ? 720_000 : 200 + ((index * 7919) % 12_000);
    const start = (index * 131) % (block.length - 1);
    const parts: Buffer[] = [];
    for (let have = 0; have < size; have += block.length)
      parts.push(block.subarray(0, Math.min(block.length, size - have)));
    const body = Buffer.concat(parts);
    body.writeUInt32LE(index, 0);
    writeFileSync(join(directory, `f${index}-${start}`), body);
  }
}
