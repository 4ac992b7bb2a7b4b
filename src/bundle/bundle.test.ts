import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compiledFolder, keepCode, openBundle } from './open-bundle.ts';

describe('openBundle', () => {
  let dist = '';
  let compiled = '';

  beforeEach(() => {
    dist = mkdtempSync(join(tmpdir(), 'tsc-bundle-'));
    compiled = join(dist, 'compiled');
    mkdirSync(join(dist, 'chunks'));
    mkdirSync(compiled);
    writeFileSync(
      join(dist, 'main.cjs'),
      'const b = require("./chunks/b.cjs"); exports.answer = () => b.twice(21); exports.folder = __dirname;',
    );
    // Chunks name each other beside themselves, and may do so in a circle.
    writeFileSync(join(dist, 'chunks/b.cjs'), 'exports.twice = (n) => n * 2; exports.c = require("./c.cjs");');
    writeFileSync(join(dist, 'chunks/c.cjs'), 'const b = require("./b.cjs"); exports.same = () => b;');
  });
  afterEach(() => rmSync(dist, { recursive: true, force: true }));

  const answerOf = (bundle: ReturnType<typeof openBundle>) =>
    (bundle.load('main.cjs') as { answer: () => number; folder: string }).answer();

  const compile = () => {
    const bundle = openBundle(dist, undefined);
    answerOf(bundle);
    keepCode(bundle, compiled);
  };
  const rejected = (bundle: ReturnType<typeof openBundle>) =>
    Array.from(bundle.parts.values(), ({ script }) => script.cachedDataRejected);

  it('runs each file once, from its source', () => {
    const bundle = openBundle(dist, undefined);
    expect(answerOf(bundle)).toBe(42);
    expect(bundle.load('main.cjs')).toBe(bundle.load('main.cjs'));
    const b = bundle.load('chunks/b.cjs') as { c: { same: () => unknown } };
    expect(b.c.same()).toBe(b);
    expect([...bundle.parts.keys()].sort()).toEqual(['chunks/b.cjs', 'chunks/c.cjs', 'main.cjs']);
  });

  it('takes compiled code that fits', () => {
    compile();
    const bundle = openBundle(dist, compiled);
    expect(answerOf(bundle)).toBe(42);
    expect(rejected(bundle)).toEqual([undefined, false, false]);
  });

  it.each([
    ['code of another V8', (bytes: Buffer) => bytes.fill(0x5a, 4, 8)],
    ['garbage', () => Buffer.from('garbage')],
    ['an empty file', () => Buffer.alloc(0)],
    ['half of it', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
  ])('goes back to the source for %s', (_, spoil) => {
    const bundle = openBundle(dist, undefined);
    answerOf(bundle);
    keepCode(bundle, compiled);
    for (const file of readdirSync(compiled)) {
      const path = join(compiled, file);
      writeFileSync(path, spoil(readFileSync(path)));
    }
    // Elsewhere: V8 remembers within a process what it compiled under a name.
    const elsewhere = join(dist, 'elsewhere');
    cpSync(join(dist, 'chunks'), join(elsewhere, 'chunks'), { recursive: true });
    cpSync(join(dist, 'main.cjs'), join(elsewhere, 'main.cjs'));
    const again = openBundle(elsewhere, compiled);
    expect(answerOf(again)).toBe(42);
    expect(rejected(again)).toEqual([undefined, true, true]);
  });

  it('does without what is missing', () => {
    compile();
    for (const file of readdirSync(compiled).filter((name) => name.startsWith('b'))) rmSync(join(compiled, file));
    expect(answerOf(openBundle(dist, compiled))).toBe(42);
  });

  it('opens heavy modules when they are used, and passes on everything they are', () => {
    writeFileSync(
      join(dist, 'main.cjs'),
      `const crypto = require("node:crypto"); const path = require("path");
       exports.crypto = crypto; exports.path = path; exports.hash = () => crypto.createHash("sha256").update("x").digest("hex");`,
    );
    const main = openBundle(dist, undefined).load('main.cjs') as {
      crypto: typeof import('node:crypto');
      path: typeof import('node:path');
      hash: () => string;
    };
    const real = process.getBuiltinModule('node:crypto');
    expect(main.crypto).not.toBe(real);
    expect(main.path).toBe(process.getBuiltinModule('node:path'));
    expect(main.hash()).toBe(real.createHash('sha256').update('x').digest('hex'));
    expect(Object.keys(main.crypto)).toEqual(Object.keys(real));
    expect('createHash' in main.crypto).toBe(true);
    expect({ ...main.crypto }.createHash).toBe(real.createHash);
    const heir = Object.create(main.crypto) as { createHash: unknown };
    heir.createHash = 'mine';
    expect([heir.createHash, main.crypto.createHash]).toEqual(['mine', real.createHash]);
  });

  it('says what this Node does not have', () => {
    writeFileSync(join(dist, 'main.cjs'), 'require("node:nothing-of-that-name");');
    expect(() => openBundle(dist, undefined).load('main.cjs')).toThrow('node:nothing-of-that-name');
  });

  it('keeps code apart by Node, machine and half', () => {
    expect(compiledFolder('/x', 'daemon')).toBe(`/x/compiled/${process.version}-${process.arch}/daemon`);
    expect(existsSync('/x')).toBe(false);
  });
});
