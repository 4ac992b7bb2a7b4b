import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { archive, base256, content, extended, file, header, longText, record, seal } from '../kit/raw-tar.ts';
import { LAYER_PROGRAM } from '../kit/stores.ts';
import { type Reading, readWithBsdtar, readWithGnuTar, readWithLayer, readWithPython } from '../kit/tar-readers.ts';

const DAMAGED = Number(process.env['TSCOMPOSE_TEST_ROUNDS'] ?? 300);
const SEED = Number(process.env['TSCOMPOSE_TEST_SEED'] ?? 20_260_101);

const readWithOurs = readWithLayer(LAYER_PROGRAM);

/** Ours refuses, or everybody sees the same. With `strict` false another reader may refuse, but see nothing else. */
function expectAgreement(name: string, bytes: Buffer, python: Reading, strict = true): Reading {
  const ours = readWithOurs(bytes);
  if (ours === 'refused') return ours;
  const known = (reading: Reading) => (reading === 'refused' && !strict ? ours : reading);
  const readings = { gnu: known(readWithGnuTar(bytes)), bsd: known(readWithBsdtar(bytes)), python: known(python) };
  expect(readings, name).toEqual({ gnu: ours, bsd: ours, python: ours });
  return ours;
}

const b = file('b', 'second');
const hidden = archive(file('smuggled', 'x'));
const nul = '\0';

/** Archives that readers of tar have taken in different ways; `same`: legal, and must be read. */
const CORPUS: readonly [string, 'same' | 'refused', Buffer][] = [
  ['plain file', 'same', archive(file('a', 'one'), b)],
  ['no entries', 'same', archive()],
  ['v7 header', 'same', archive(file('a', 'one', { format: 'v7' }), b)],
  ['v7 directory', 'same', archive(header({ name: 'd/', type: nul, mode: 0o755, format: 'v7' }), b)],
  [
    'directory, link, pipe, device',
    'same',
    archive(
      header({ name: 'd/', type: '5', mode: 0o755 }),
      header({ name: 'l', type: '2', link: 'b' }),
      header({ name: 'p', type: '6' }),
      header({ name: 'null', type: '3', major: 1, minor: 3 }),
      b,
    ),
  ],
  ['hard link', 'same', archive(b, header({ name: 'h', type: '1', link: 'b' }))],
  ['prefix', 'same', archive(header({ name: 'd', type: '5', mode: 0o755 }), file('f', 'x', { prefix: 'd' }))],
  ['negative size in base 256', 'refused', archive(file('a', '', { size: base256(-512n, 12) }), b)],
  ['negative size of a directory', 'refused', archive(header({ type: '5', size: base256(-512n, 12) }), b)],
  ['all bits set as size', 'refused', archive(file('a', '', { size: Buffer.alloc(12, 0xff) }), b)],
  ['size with a sign', 'refused', archive(file('a', '', { size: Buffer.from('-0000000100\0') }), b)],
  ['size with a plus', 'refused', archive(file('a', 'x', { size: Buffer.from('+0000000001\0') }), b)],
  ['size that is no number', 'refused', archive(file('a', '', { size: Buffer.from('zzzzzzzzzzz\0') }), b)],
  ['size in hexadecimal', 'refused', archive(file('a', 'x', { size: Buffer.from('0x1\0\0\0\0\0\0\0\0\0') }), b)],
  ['size with a blank inside', 'refused', archive(file('a', 'x', { size: Buffer.from('000000 0001\0') }), b)],
  ['size with blanks in front', 'same', archive(file('a', 'x', { size: Buffer.from('          1\0') }), b)],
  ['size without an end', 'same', archive(file('a', 'x', { size: Buffer.from('000000000001') }), b)],
  ['size in base 256', 'same', archive(file('a', 'x', { size: base256(1n, 12), format: 'gnu' }), b)],
  ['size beyond 63 bits', 'refused', archive(file('a', '', { size: base256(1n << 63n, 12) }), b)],
  [
    'size with an odd lead byte',
    'refused',
    archive(file('a', '', { size: Buffer.from('810000000000000000000000', 'hex') }), b),
  ],
  ['size beyond the archive', 'refused', archive(file('a', '', { size: 1 << 20 }), b)],
  [
    'owner in base 256',
    'same',
    archive(file('a', 'x', { uid: base256(3_000_000n, 8), gid: base256(3_000_001n, 8), format: 'gnu' })),
  ],
  ['negative owner', 'refused', archive(file('a', 'x', { uid: base256(-1n, 8) }))],
  ['time before 1970', 'same', archive(file('a', 'x', { mtime: base256(-100n, 12), format: 'gnu' }))],
  ['mode that is no number', 'refused', archive(file('a', 'x', { mode: Buffer.from('rw-r--r-') }))],
  ['owner that is no number', 'refused', archive(file('a', 'x', { uid: Buffer.from('root\0\0\0\0') }))],
  ['directory with a size', 'refused', archive(header({ name: 'd/', type: '5', size: hidden.length }), hidden, b)],
  [
    'symbolic link with a size',
    'refused',
    archive(header({ name: 'l', type: '2', link: 'b', size: 512 }), content('x'.repeat(512)), b),
  ],
  [
    'hard link with a size',
    'refused',
    archive(b, header({ name: 'h', type: '1', link: 'b', size: hidden.length }), hidden),
  ],
  ['pipe with a size', 'refused', archive(header({ name: 'p', type: '6', size: hidden.length }), hidden, b)],
  [
    'device with a size',
    'refused',
    archive(header({ name: 'n', type: '3', size: 512, major: 1, minor: 3 }), hidden, b),
  ],
  [
    'size of a directory from records',
    'refused',
    archive(extended([['size', '512']]), header({ name: 'd', type: '5' }), hidden),
  ],
  [
    'size of a link from records',
    'refused',
    archive(extended([['size', '512']]), header({ name: 'l', type: '2', link: 'b' }), hidden),
  ],
  ['size from records', 'same', archive(extended([['size', '3']]), file('a', 'one', { size: 0 }), b)],
  ['negative size from records', 'refused', archive(extended([['size', '-512']]), file('a', 'one'), b)],
  ['size from records with a fraction', 'refused', archive(extended([['size', '3.0']]), file('a', 'one'), b)],
  ['size from records with a blank', 'refused', archive(extended([['size', ' 3']]), file('a', 'one'), b)],
  [
    'size from records in octal',
    'same',
    archive(extended([['size', '0000000011']]), file('a', 'eleven char', { size: 0 }), b),
  ],
  ['size from records, endless', 'refused', archive(extended([['size', '9'.repeat(30)]]), file('a', 'one'), b)],
  ['name with a NUL in records', 'refused', archive(extended([['path', `a${nul}b`]]), file('z', 'x'))],
  [
    'link target with a NUL in records',
    'refused',
    archive(extended([['linkpath', `b${nul}c`]]), header({ name: 'l', type: '2', link: 'b' })),
  ],
  ['name with a NUL in a long name', 'refused', archive(longText(`a${nul}b`), file('z', 'x', { format: 'gnu' }))],
  ['long name', 'same', archive(longText('n'.repeat(150)), file('z', 'x', { format: 'gnu' }))],
  [
    'long link target',
    'same',
    archive(longText('t'.repeat(150), 'K'), header({ name: 'l', type: '2', link: 'z', format: 'gnu' })),
  ],
  [
    'long name and target',
    'same',
    archive(
      longText('t'.repeat(150), 'K'),
      longText('n'.repeat(150)),
      header({ name: 'l', type: '2', link: 'z', format: 'gnu' }),
    ),
  ],
  ['long name twice', 'refused', archive(longText('first'), longText('second'), file('z', 'x', { format: 'gnu' }))],
  [
    'long name of a long name',
    'refused',
    archive(longText('first'), longText('././@LongLink'), longText('x'), file('z', 'x')),
  ],
  ['empty long name', 'refused', archive(longText(''), file('z', 'x', { format: 'gnu' }))],
  ['numeric name in records', 'same', archive(extended([['path', '12345']]), file('z', 'x'))],
  [
    'numeric link target in records',
    'same',
    archive(extended([['linkpath', '0']]), header({ name: 'l', type: '2', link: 'b' })),
  ],
  ['name that is a number with an exponent', 'same', archive(extended([['path', '1e3']]), file('z', 'x'))],
  [
    'records in front of records',
    'refused',
    archive(extended([['path', 'first']]), extended([['path', 'second']]), file('z', 'x')),
  ],
  [
    'records in front of a long name',
    'refused',
    archive(extended([['size', '1024']]), longText('x'), file('z', 'x', { format: 'gnu' })),
  ],
  [
    'records in front of a global header',
    'refused',
    archive(extended([['size', '1024']]), extended([['comment', 'x']], 'g'), file('z', 'x')),
  ],
  ['long name in front of records', 'refused', archive(longText('long'), extended([['path', 'pax']]), file('z', 'x'))],
  ['records at the end', 'refused', archive(b, extended([['path', 'x']]))],
  [
    'same key twice',
    'refused',
    archive(
      extended([
        ['path', 'first'],
        ['path', 'second'],
      ]),
      file('z', 'x'),
    ),
  ],
  [
    'size twice',
    'refused',
    archive(
      extended([
        ['size', '0'],
        ['size', '512'],
      ]),
      file('z', 'x'),
    ),
  ],
  ['empty name in records', 'refused', archive(extended([['path', '']]), file('z', 'x'))],
  ['empty size in records', 'refused', archive(extended([['size', '']]), file('z', 'x'))],
  ['record without equals', 'refused', archive(extended(Buffer.from('7 path\n')), file('z', 'x'))],
  ['record that lies about its length', 'refused', archive(extended(Buffer.from('30 path=x\n')), file('z', 'x'))],
  ['record of length zero', 'refused', archive(extended(Buffer.from('0 path=x\n')), file('z', 'x'))],
  ['record with leading zeroes', 'refused', archive(extended(Buffer.from('0010 path=x\n')), file('z', 'x'))],
  ['record without a line end', 'refused', archive(extended(Buffer.from('10 path=xx')), file('z', 'x'))],
  [
    'bytes behind the records',
    'refused',
    archive(extended(Buffer.concat([record('path', 'x'), Buffer.from('\0\0\0')])), file('z', 'x')),
  ],
  ['global header with a comment', 'same', archive(extended([['comment', 'c0ffee']], 'g'), file('a', 'x'))],
  ['global header with a name', 'refused', archive(extended([['path', 'all']], 'g'), file('a', 'x'))],
  ['global header with a size', 'refused', archive(extended([['size', '0']], 'g'), file('a', 'x'))],
  [
    'unknown character set',
    'refused',
    archive(
      extended([
        ['hdrcharset', 'KLINGON'],
        ['path', 'x'],
      ]),
      file('z', 'x'),
    ),
  ],
  ['unknown type', 'refused', archive(file('a', 'x', { type: 'Q' }), b)],
  ['volume label', 'refused', archive(header({ name: 'label', type: 'V', format: 'gnu' }), b)],
  [
    'rest of another volume',
    'refused',
    archive(header({ name: 'm', type: 'M', format: 'gnu', size: 1 }), content('x'), b),
  ],
  [
    'directory listing of an incremental archive',
    'refused',
    archive(header({ name: 'd/', type: 'D', format: 'gnu', size: 4 }), content('Yb\0\0'), b),
  ],
  [
    'times of an incremental archive',
    'refused',
    archive(file('a', 'x', { format: 'gnu', prefix: '00000001750\x0000000001750' })),
  ],
  ['file with the name of a directory', 'refused', archive(file('a/', 'x'), b)],
  ['unknown magic', 'refused', archive(file('a', 'x', { patch: (block) => void block.write('USTAR', 257) }))],
  ['wrong checksum', 'refused', archive(file('a', 'x').fill('9', 150, 151), b)],
  ['lone zero block', 'refused', Buffer.concat([file('a', 'x'), Buffer.alloc(512), b, Buffer.alloc(1024)])],
  ['a second archive behind the end', 'refused', Buffer.concat([archive(file('a', 'x')), archive(b)])],
  ['bytes behind the end', 'refused', Buffer.concat([archive(file('a', 'x')), Buffer.from('tail')])],
  ['name that is empty', 'refused', archive(header({ name: '' }), b)],
  ['link without a target', 'refused', archive(header({ name: 'l', type: '2' }), b)],
  ['map of holes that overlaps', 'refused', archive(sparse('0,4,2,4', 8, 8), b)],
  ['map of holes beyond the size', 'refused', archive(sparse('0,4,100,4', 50, 8), b)],
  ['map of holes longer than the data', 'refused', archive(sparse('0,600', 600, 8), b)],
  ['map of holes with a negative piece', 'refused', archive(sparse('0,-4', 8, 8), b)],
  [
    'holes of a directory',
    'refused',
    archive(
      extended([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 'd'],
        ['GNU.sparse.realsize', '0'],
      ]),
      header({ name: 'd', type: '5' }),
      b,
    ),
  ],
  [
    'version of holes that nobody knows',
    'refused',
    archive(
      extended([
        ['GNU.sparse.major', '2'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 's'],
        ['GNU.sparse.realsize', '0'],
      ]),
      file('s', ''),
      b,
    ),
  ],
];

function sparse(map: string, size: number, stored: number): Buffer {
  const count = map.split(',').length / 2;
  return Buffer.concat([
    extended([
      ['GNU.sparse.size', String(size)],
      ['GNU.sparse.numblocks', String(count)],
      ['GNU.sparse.map', map],
    ]),
    file('s', 'x'.repeat(stored)),
  ]);
}

describe('X05 every reader of tar sees the same, or we refuse', () => {
  const python = readWithPython(CORPUS.map(([, , bytes]) => bytes));
  it.each(CORPUS.map((row, index) => [row[0], row[1], row[2], python[index] as Reading] as const))(
    '%s: %s',
    (name, expected, bytes, reading) => {
      const ours = expectAgreement(name, bytes, reading);
      expect(ours === 'refused' ? 'refused' : 'same').toBe(expected);
    },
  );

  it('archives of GNU tar and bsdtar in every format, sparse files included', () => {
    const home = mkdtempSync(join(tmpdir(), 'tsc-tar-'));
    try {
      const tree = join(home, 'tree');
      mkdirSync(join(tree, 'd'), { recursive: true });
      writeFileSync(join(tree, 'd/f'), 'content', { mode: 0o640 });
      writeFileSync(join(tree, 'd', 'n'.repeat(120)), 'long');
      symlinkSync('t'.repeat(130), join(tree, 'l'));
      execFileSync(
        'sh',
        [
          '-c',
          'truncate -s 3M hole; for at in 0 1 2 3 4 5 6 7 8 9; do printf data | dd of=hole bs=1 seek=$((at * 262144 + 100)) conv=notrunc status=none; done; ln d/f h; mkfifo p; chmod 4755 d/f; find . -exec touch -h -d @1000 {} +',
        ],
        { cwd: tree },
      );
      const made = [
        ...['v7', 'oldgnu', 'gnu', 'ustar', 'pax'].map((format) => ['tar', `--format=${format}`]),
        ['tar', '--format=gnu', '-S'],
        ['tar', '--format=pax', '-S', '--sparse-version=0.0'],
        ['tar', '--format=pax', '-S', '--sparse-version=0.1'],
        ['tar', '--format=pax', '-S', '--sparse-version=1.0'],
        ...['ustar', 'pax', 'gnutar', 'v7'].map((format) => ['bsdtar', `--format=${format}`]),
      ].map(([program = '', ...args]) => {
        // v7 cannot say everything: then the program leaves it out and says so by its status.
        const script = '"$@" 2>/dev/null || true';
        return execFileSync(
          'sh',
          ['-c', script, 'sh', program, '-cf', '-', ...args, '-C', tree, 'd', 'hole', 'l', 'h', 'p'],
          { maxBuffer: 1 << 26 },
        );
      });
      const readings = readWithPython(made);
      for (const [index, bytes] of made.entries())
        expect(expectAgreement(`archive ${index}`, bytes, readings[index] as Reading)).not.toBe('refused');
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  it(`${DAMAGED} archives with damaged headers whose checksum is right`, () => {
    const originals = CORPUS.filter(([, expected]) => expected === 'same').map(([, , bytes]) => bytes);
    let seed = SEED;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const interesting = Buffer.from('\0 0179x.-=,\n\xff\x80gxLKS125', 'latin1');
    const damaged = Array.from({ length: DAMAGED }, () => {
      const bytes = Buffer.from(originals[random(originals.length)] as Buffer);
      const blocks = bytes.length / 512;
      const start = random(blocks) * 512;
      const isHeader = bytes.toString('latin1', start + 257, start + 262) === 'ustar';
      for (let changes = 1 + random(3); changes > 0; changes -= 1) {
        bytes[start + random(isHeader ? 512 : 40)] = interesting[random(interesting.length)] as number;
      }
      if (isHeader) seal(bytes.subarray(start, start + 512));
      return bytes;
    });
    const readings = readWithPython(damaged);
    let same = 0;
    for (const [index, bytes] of damaged.entries()) {
      same += expectAgreement(`damaged ${index}`, bytes, readings[index] as Reading, false) === 'refused' ? 0 : 1;
    }
    // Names and owners may change freely: not everything is refused.
    expect(same).toBeGreaterThan(DAMAGED / 6);
  }, 120_000);
});
