import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ContainerTree, openLayerTool } from '../../src/engine/layers/index.ts';
import { busyboxRootfsTar } from '../kit/images.ts';
import { identityOf } from '../kit/keeper.ts';
import { archive, file, header } from '../kit/raw-tar.ts';
import { LAYER_PROGRAM } from '../kit/stores.ts';

/** Rounds of each kind, half in and half out: 2,000 together. */
const ROUNDS = Number(process.env['TSCOMPOSE_TEST_ROUNDS'] ?? 500);
const tool = openLayerTool({ program: LAYER_PROGRAM });
const streamOf = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });

let home: string;
let canary: string;
let started: ChildProcess[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tsc-race-'));
  canary = join(home, 'canary');
  mkdirSync(canary);
  writeFileSync(join(canary, 'secret'), 'top-secret', { mode: 0o600 });
  started = [];
});
afterEach(async () => {
  for (const child of started) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
  }
  rmSync(home, { recursive: true, force: true });
});

function expectCanaryUntouched(): void {
  expect(readdirSync(canary)).toEqual(['secret']);
  const at = statSync(join(canary, 'secret'));
  expect([at.mode & 0o777, at.nlink, at.uid, readFileSync(join(canary, 'secret'), 'utf8')]).toEqual([
    0o600,
    1,
    0,
    'top-secret',
  ]);
}

/** Turns `d` and `d/sub` into links to the canary and back, without end. `link` is what they point at. */
const FLIP = `while :; do mkdir -p d/sub; echo in > d/f; rm -rf d; ln -s "$0" d; rm -f d; mkdir d; ln -s "$0" d/sub; rm -rf d; done`;

/** Somebody with access to the directory itself: another container at the same volume, or the one that ran before. */
function flip(directory: string): void {
  started.push(spawn('/bin/busybox', ['sh', '-c', FLIP, canary], { cwd: directory, stdio: 'ignore' }));
}

function directories(...names: readonly string[]): string[] {
  return names.map((name) => {
    const path = join(home, name);
    mkdirSync(path, { recursive: true });
    return path;
  });
}

/** A process in a mount namespace of its own that flips below /w, as root, with a volume there when asked. */
async function startContainer(root: string, flipIn: string): Promise<ContainerTree> {
  const script = `mount --bind "$1" "$1" && cd "$1" && mkdir -p old w vol && ([ -z "$3" ] || mount --bind "$3" vol) &&
    /sbin/pivot_root . old && umount -l /old && exec /bin/sh -c 'cd ${flipIn}; echo ready; ${FLIP}' "$2"`;
  const volume = flipIn === '/vol' ? directories('volume')[0] : '';
  const child = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', '/bin/busybox', 'sh', '-c', script, 'sh', root, canary, volume ?? ''],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  started.push(child);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return { kind: 'process', process: await identityOf(child.pid ?? 0) };
}

async function race(tree: ContainerTree, path: string): Promise<void> {
  const into = archive(
    file('from-host', 'x', { mode: 0o777, uid: 7 }),
    header({ name: 'sub', type: '5', mode: 0o777, uid: 7 }),
    file('sub/deep', 'x', { mode: 0o777, uid: 7 }),
    header({ name: 'sub/hard', type: '1', link: 'sub/secret' }),
    file('sub/secret', 'overwritten', { uid: 7 }),
  );
  for (let round = 0; round < ROUNDS / 2; round += 1) {
    const [, out] = await Promise.all([
      tool.extract({ tree, path, keepOwner: true }, streamOf(into)).catch(() => undefined),
      text(tool.archive({ tree, path: `${path}/` })).catch(() => ''),
    ]);
    expect(out.includes('top-secret'), `round ${round}`).toBe(false);
  }
}

describe('X11 cp in both directions while a path is swapped for a link out', () => {
  it('running', { timeout: 180_000 }, async () => {
    const [root] = directories('root') as [string];
    await tool.apply(root, busyboxRootfsTar());
    await race(await startContainer(root, '/w'), '/w/d');
    expectCanaryUntouched();
  });

  it('running, on a volume', { timeout: 180_000 }, async () => {
    const [root] = directories('root') as [string];
    await tool.apply(root, busyboxRootfsTar());
    await race(await startContainer(root, '/vol'), '/vol/d');
    expectCanaryUntouched();
  });

  it('stopped, with a volume that another container flips', { timeout: 180_000 }, async () => {
    const [lower, upper, work, volume] = directories('lower', 'upper', 'work', 'volume') as [
      string,
      string,
      string,
      string,
    ];
    await tool.apply(lower, busyboxRootfsTar());
    flip(volume);
    const mounts = [{ source: volume, target: '/var/www' }];
    await race({ kind: 'overlay', lower: [lower], upper, work, mounts }, '/var/www/d');
    expectCanaryUntouched();
  });

  it('stopped, read-only root with a volume', { timeout: 180_000 }, async () => {
    const [lower, upper, volume] = directories('lower', 'upper', 'volume') as [string, string, string];
    await tool.apply(lower, busyboxRootfsTar());
    flip(volume);
    const tree: ContainerTree = {
      kind: 'overlay',
      lower: [upper, lower],
      mounts: [{ source: volume, target: '/var/www' }],
    };
    await race(tree, '/var/www/d');
    await expect(tool.extract({ tree, path: '/etc' }, streamOf(archive(file('x'))))).rejects.toMatchObject({
      code: 'layer/denied',
    });
    expectCanaryUntouched();
  });
});

it('X04 two unpackings into places beside each other, both flipped by root', async () => {
  const [one, two] = directories('one', 'two') as [string, string];
  flip(one);
  flip(two);
  const bytes = archive(
    ...Array.from({ length: 200 }, (_, index) => [
      header({ name: 'd', type: '5', mode: 0o777, uid: 7 }),
      file(`d/f${index}`, 'x', { uid: 7 }),
      file('d/sub/secret', 'overwritten', { mode: 0o777 }),
    ]).flat(),
  );
  for (let round = 0; round < 20; round += 1) {
    const apply = (root: string) => tool.apply(root, streamOf(bytes), { overlay: true }).catch(() => undefined);
    await Promise.all([apply(one), apply(two)]);
  }
  expectCanaryUntouched();
});

it('X13 a volume whose content is swapped for links while it is packed: the link is in the archive, not its target', async () => {
  const [volume] = directories('volume') as [string];
  flip(volume);
  for (let round = 0; round < 200; round += 1) {
    const bytes = await buffer(tool.pack(volume)).catch(() => Buffer.alloc(0));
    expect(bytes.includes('top-secret'), `round ${round}`).toBe(false);
  }
  expectCanaryUntouched();
});

describe('X12 unpacking for a client: nothing outside the destination', () => {
  /** What a hostile daemon answers a cp with; the destination has links that were there before. */
  it.each<[string, Buffer]>([
    ['dot-dot', archive(file('../../canary/x', 'x'))],
    ['absolute', archive(file('/canary/x', 'x'))],
    ['link, then through it', archive(header({ name: 'l', type: '2', link: '../canary' }), file('l/secret', 'over'))],
    [
      'absolute link, then through it',
      archive(header({ name: 'l', type: '2', link: '/' }), file('l/canary/secret', 'over')),
    ],
    [
      'hard link to a file outside',
      archive(header({ name: 'h', type: '1', link: '../canary/secret' }), file('h', 'over')),
    ],
    ['through a link that is there', archive(file('out/secret', 'over', { mode: 0o777 }))],
    ['in place of a link that is there', archive(file('out', 'mine', { mode: 0o777 }))],
    ['attributes of a link that is there', archive(header({ name: 'out', type: '5', mode: 0o777, uid: 7 }))],
    ['the destination itself', archive(header({ name: '.', type: '2', link: '/canary' }))],
    ['the destination as a file', archive(file('./', 'x'))],
    ['whiteout names', archive(file('.wh.keep', ''), file('.wh..wh..opq', ''))],
  ])('%s', async (_, bytes) => {
    const [destination] = directories('destination') as [string];
    symlinkSync('../canary', join(destination, 'out'));
    writeFileSync(join(destination, 'keep'), 'kept');
    const tree: ContainerTree = { kind: 'directory', path: destination };
    await tool.extract({ tree, path: '/' }, streamOf(bytes)).catch(() => undefined);
    expect(readdirSync(home).sort()).toEqual(['canary', 'destination']);
    expect(readFileSync(join(destination, 'keep'), 'utf8')).toBe('kept');
    expectCanaryUntouched();
  });

  it('refuses to replace a directory by a file and the other way round when told so', async () => {
    const [destination] = directories('destination/dir') as [string];
    const tree: ContainerTree = { kind: 'directory', path: join(home, 'destination') };
    const put = (bytes: Buffer) => tool.extract({ tree, path: '/', noOverwriteDirNonDir: true }, streamOf(bytes));
    await expect(put(archive(file('dir', 'x')))).rejects.toMatchObject({ code: 'layer/conflict' });
    expect(lstatSync(destination).isDirectory()).toBe(true);
    await put(archive(file('f', 'x')));
    await expect(put(archive(header({ name: 'f', type: '5' })))).rejects.toMatchObject({ code: 'layer/conflict' });
    expect(existsSync(join(home, 'destination/f'))).toBe(true);
  });
});
