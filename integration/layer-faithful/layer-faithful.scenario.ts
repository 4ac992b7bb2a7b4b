import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLayerTool } from '../../src/engine/layers/index.ts';
import { archive, extended, file, header } from '../kit/raw-tar.ts';
import { LAYER_PROGRAM, openTestStores } from '../kit/stores.ts';

const tool = openLayerTool({ program: LAYER_PROGRAM });
const streamOf = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });
let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tsc-faithful-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const made = (...names: readonly string[]): string[] =>
  names.map((name) => {
    const path = join(home, name);
    mkdirSync(path, { recursive: true });
    return path;
  });

/** The whole view as one archive: equal bytes are equal trees. */
const viewOf = (lower: readonly string[], upper?: string, work?: string) =>
  buffer(
    tool.archive({
      tree: { kind: 'overlay', lower, ...(upper !== undefined && { upper }), ...(work !== undefined && { work }) },
      path: '/',
    }),
  );

/** What a program in a container did, one step. Names are few, so that steps meet. */
type Step = readonly [kind: number, first: number, second: number];
const NAMES = ['a', 'b', 'c', 'd/x', 'd/y', 'd/e/f', 'd/e/g', 'h/i', 'h', 'd', 'd/e', 'n'.repeat(255)];

function take(root: string, [kind, first, second]: Step): void {
  const path = join(root, NAMES[first % NAMES.length] as string);
  const other = join(root, NAMES[second % NAMES.length] as string);
  const actions: readonly (() => void)[] = [
    () => mkdirSync(path, { recursive: true, mode: 0o751 }),
    () => write(path, `content ${second}`),
    () => rmSync(path, { recursive: true }),
    () => symlinkSync(`../target${second}`, path),
    () => linkSync(path, other),
    () => execFileSync('mv', ['-T', path, other], { stdio: 'ignore' }),
    () => chmodSync(path, second % 2 === 0 ? 0o4711 : 0o1777),
    () => execFileSync('chown', ['-h', `${second}:7`, path], { stdio: 'ignore' }),
    () => lutimesSync(path, 1000 + second, 2000.5 + second),
    () => execFileSync('mkfifo', [path], { stdio: 'ignore' }),
    () => write(path, 'appended', constants.O_APPEND),
  ];
  try {
    actions[kind % actions.length]?.();
  } catch {
    // A step that cannot be, as for a program: the next one.
  }
}

/** Never waits for a reader of a pipe. */
function write(path: string, text: string, more = constants.O_TRUNC): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK | more);
  writeSync(fd, text);
  closeSync(fd);
}

function inOverlay(lower: readonly string[], upper: string, work: string, act: (root: string) => void): void {
  const point = join(home, 'mounted');
  mkdirSync(point, { recursive: true });
  const options = `index=off,redirect_dir=off,metacopy=off,lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work}`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, point]);
  try {
    act(point);
  } finally {
    execFileSync('umount', [point]);
  }
}

it('what the kernel shows of a container is what its layer shows when it is unpacked again', {
  timeout: 180_000,
}, async () => {
  const step = fc.tuple(fc.nat(10), fc.nat(11), fc.nat(11));
  const stacks = fc.array(fc.array(step, { minLength: 1, maxLength: 25 }), { minLength: 1, maxLength: 3 });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(stacks, async (layers) => {
      round += 1;
      const [bottom] = made(`r${round}/bottom`) as [string];
      for (const name of ['d/e', 'h']) mkdirSync(join(bottom, name), { recursive: true });
      for (const name of ['a', 'd/x', 'd/e/f', 'h/i']) writeFileSync(join(bottom, name), name);
      linkSync(join(bottom, 'a'), join(bottom, 'd/y'));
      let lower = [bottom];
      for (const [index, steps] of layers.entries()) {
        const [upper, work, next] = made(
          `r${round}/upper${index}`,
          `r${round}/work${index}`,
          `r${round}/next${index}`,
        ) as [string, string, string];
        inOverlay(lower, upper, work, (root) => {
          for (const one of steps) take(root, one);
        });
        const shown = await viewOf(lower, upper, work);
        const layer = await buffer(tool.diff(upper));
        expect((await buffer(tool.diff(upper))).equals(layer), 'the same bytes twice').toBe(true);
        const pending = join(home, `pending${round}-${index}`);
        await tool.apply(next, streamOf(layer), { overlay: true, pending });
        await tool.fixUp(next, lower, pending);
        lower = [next, ...lower];
        expect((await viewOf(lower)).equals(shown), `layer ${index}`).toBe(true);
        expect((await buffer(tool.diff(next))).equals(layer), 'and its layer again').toBe(true);
      }
      rmSync(join(home, `r${round}`), { recursive: true });
    }),
    { numRuns: Number(process.env['TSCOMPOSE_TEST_ROUNDS'] ?? 25) },
  );
});

it('F53 128 layers below a long path: each adds, removes and replaces, one links into the lowest', {
  timeout: 120_000,
}, async () => {
  await using stores = await openTestStores();
  const contents = [];
  for (let index = 0; index < 128; index += 1) {
    const bytes = archive(
      file(`only-${index}`, String(index)),
      file(`shared/f`, String(index)),
      ...(index === 0 ? [file('shared/kept', 'kept'), header({ name: 'var/', type: '5', mode: 0o750, uid: 3 })] : []),
      ...(index % 2 === 1 ? [file(`.wh.only-${index - 1}`)] : []),
      ...(index === 127
        ? [header({ name: 'linked', type: '1', link: 'shared/kept' }), file('var/lib/pg/x', 'pg')]
        : []),
    );
    const layer = await stores.images.addLayer(streamOf(bytes));
    contents.push({ diffId: layer.diffId, open: async () => streamOf(bytes) });
  }
  const lower = await stores.layers.ensure(contents);
  expect(lower).toHaveLength(128);
  const listed = execFileSync('tar', ['-tvf', '-', '--numeric-owner'], {
    input: await viewOf(lower),
    encoding: 'utf8',
  });
  expect(listed).toMatch(/drwxr-x--- 3\/0 .* var\/$/m);
  expect(listed).toMatch(/ linked link to |shared\/kept link to linked$/m);
  expect(listed.match(/only-/g)).toHaveLength(64);
  expect(listed).toContain('var/lib/pg/x');
});

describe('F40 names and paths as Linux allows them', () => {
  it('255 bytes, not UTF-8, composed and decomposed, newline, blank, a path of 5,000 bytes', async () => {
    const [from, to] = made('from', 'to') as [string, string];
    const script = `name=$(printf 'n%.0s' $(seq 250)); for i in $(seq 20); do mkdir "$name" && cd "$name"; done; echo deep > file`;
    execFileSync('/bin/bash', ['-c', script], { cwd: from });
    const raw = Buffer.concat([Buffer.from(`${from}/raw-`), Buffer.from([0xff, 0xfe, 0x80])]);
    writeFileSync(raw, 'raw');
    for (const name of ['e\u0301', '\u00e9', 'new\nline', ' ', '-dash', 'x'.repeat(255)])
      writeFileSync(join(from, name), name);
    const packed = await buffer(tool.pack(from));
    await tool.apply(to, streamOf(packed));
    expect((await buffer(tool.pack(to))).equals(packed)).toBe(true);
    expect(readdirSync(to, 'buffer').map(String).sort()).toEqual(readdirSync(from, 'buffer').map(String).sort());
    const depth = execFileSync('/bin/bash', ['-c', 'while cd nnn* 2>/dev/null; do :; done; cat file; pwd | wc -c'], {
      cwd: to,
    });
    expect(depth.toString()).toMatch(/^deep\n5\d{3}\n$/);
    for (const root of [from, to]) execFileSync('rm', ['-rf', root]);
  });

  it('a long path does not lead through links behind its first part', async () => {
    const [root] = made('root') as [string];
    const deep = Array.from({ length: 20 }, () => 'n'.repeat(250)).join('/');
    const bytes = archive(
      extended([['path', `${deep}/l`]]),
      header({ name: 'l', type: '2', link: home }),
      extended([['path', `${deep}/l/escaped`]]),
      file('x', 'x'),
    );
    await expect(tool.apply(root, streamOf(bytes))).rejects.toMatchObject({ kind: expect.anything() });
    expect(existsSync(join(home, 'escaped'))).toBe(false);
    execFileSync('rm', ['-rf', root]);
  });
});

describe('files', () => {
  it('of 5 GiB with holes keep them, in a layer of a few MiB', async () => {
    const [upper, to] = made('upper', 'to') as [string, string];
    writeFileSync(join(upper, 'big'), 'start');
    truncateSync(join(upper, 'big'), 5 * 2 ** 30);
    const fd = openSync(join(upper, 'big'), 'r+');
    writeSync(fd, 'end', 4.5 * 2 ** 30);
    fsyncSync(fd);
    closeSync(fd);
    const layer = await buffer(tool.diff(upper));
    expect(layer.length).toBeLessThan(4 << 20);
    await tool.apply(to, streamOf(layer), { overlay: true });
    const at = statSync(join(to, 'big'));
    expect([at.size, at.blocks * 512 < 4 << 20]).toEqual([5 * 2 ** 30, true]);
    const copy = openSync(join(to, 'big'), 'r');
    for (const [offset, expected] of [
      [0, 'start\0'],
      [4.5 * 2 ** 30 - 1, '\0end\0'],
    ] as const) {
      const piece = Buffer.alloc(expected.length);
      readSync(copy, piece, 0, piece.length, offset);
      expect(piece.toString()).toBe(expected);
    }
    closeSync(copy);
    expect(execFileSync('tar', ['-tvf', '-'], { input: layer, encoding: 'utf8' })).toContain(` ${5 * 2 ** 30} `);
  });

  it('keep nanoseconds, set-id bits after the change of owner, times before 1970, links’ own owners', async () => {
    const [root] = made('root') as [string];
    const bytes = archive(
      extended([['mtime', '1234567890.123456789']]),
      file('nano', 'x'),
      extended([['mtime', '-1.5']]),
      file('early', 'x'),
      file('su', 'x', { mode: 0o6711, uid: 12, gid: 34 }),
      header({ name: 'pipe', type: '6', mode: 0o4711, uid: 12 }),
      header({ name: 'sticky/', type: '5', mode: 0o3777, uid: 12 }),
      header({ name: 'link', type: '2', link: 'su', uid: 5, gid: 6, mode: 0o777 }),
    );
    await tool.apply(root, streamOf(bytes));
    expect(statSync(join(root, 'nano'), { bigint: true }).mtimeNs).toBe(1234567890123456789n);
    expect(statSync(join(root, 'early'), { bigint: true }).mtimeNs).toBe(-1_500_000_000n);
    expect(statSync(join(root, 'su'))).toMatchObject({ uid: 12, gid: 34, mode: 0o106711 });
    expect(statSync(join(root, 'pipe'))).toMatchObject({ uid: 12, mode: 0o014711 });
    expect(statSync(join(root, 'sticky'))).toMatchObject({ uid: 12, mode: 0o043777 });
    expect(lstatSync(join(root, 'link'))).toMatchObject({ uid: 5, gid: 6 });
    const packed = await buffer(tool.pack(root));
    expect(packed.includes('mtime=1234567890.123456789') && packed.includes('mtime=-1.5')).toBe(true);
  });

  it('a layer says nothing of when or in which order it was made', async () => {
    const [one, two] = made('one', 'two') as [string, string];
    for (const [root, names] of [
      [one, ['a', 'b', 'c']],
      [two, ['c', 'a', 'b']],
    ] as const) {
      for (const name of names) {
        writeFileSync(join(root, name), name);
        lutimesSync(join(root, name), Math.random() * 1e9, 1000);
      }
    }
    const first = await buffer(tool.diff(one));
    expect((await buffer(tool.diff(two))).equals(first)).toBe(true);
    expect(readFileSync(join(one, 'a'), 'utf8')).toBe('a');
  });
});
