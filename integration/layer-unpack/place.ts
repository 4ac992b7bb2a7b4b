import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, expect } from 'vitest';
import { openLayerTool } from '../../src/engine/layers/index.ts';
import { LAYER_PROGRAM } from '../kit/stores.ts';

export type Row = Partial<Header> & { readonly name: string; readonly body?: string };

/** A tar of exactly these entries, nothing made valid or added. */
export function tarOf(rows: readonly Row[]): Promise<Buffer> {
  const tar = pack();
  for (const { body, ...header } of rows) {
    const full = { mtime: new Date(1000), ...header };
    if (header.type === undefined || header.type === 'file') tar.entry(full, body ?? '');
    else tar.entry(full).end(undefined);
  }
  tar.finalize();
  return buffer(tar as unknown as AsyncIterable<Uint8Array>);
}

export const streamOf = (bytes: Uint8Array) => Readable.from([bytes], { objectMode: false });
export const directory = (name: string): Row => ({ name, type: 'directory' });
export const link = (name: string, target: string): Row => ({ name, type: 'symlink', linkname: target });
export const hard = (name: string, target: string): Row => ({ name, type: 'link', linkname: target });

export const tool = openLayerTool({ program: LAYER_PROGRAM });

/** Where archives are unpacked: `root`, beside a `canary` with a secret that nothing may reach. Made anew for every test. */
export class Place {
  home = '';

  /** The place of all tests of a file. */
  constructor() {
    beforeEach(() => {
      this.home = mkdtempSync(join(tmpdir(), 'tsc-layer-'));
      mkdirSync(this.root);
      mkdirSync(this.canary);
      writeFileSync(join(this.canary, 'secret'), 'secret', { mode: 0o600 });
    });
    afterEach(() => rmSync(this.home, { recursive: true, force: true }));
  }

  get root(): string {
    return join(this.home, 'root');
  }

  get canary(): string {
    return join(this.home, 'canary');
  }

  async apply(rows: readonly Row[], overlay = false) {
    return await tool.apply(this.root, streamOf(await tarOf(rows)), { overlay });
  }

  /** A new directory beside the root. */
  made(name: string): string {
    const path = join(this.home, name);
    mkdirSync(path);
    return path;
  }

  /** Nothing outside the root changed: names, content, mode, number of links. */
  expectCanaryUntouched(): void {
    expect(readdirSync(this.home).sort()).toEqual(['canary', 'root']);
    expect(readdirSync(this.canary)).toEqual(['secret']);
    const secret = join(this.canary, 'secret');
    const { mode, nlink } = statSync(secret);
    expect([mode & 0o777, nlink, readFileSync(secret, 'utf8')]).toEqual([0o600, 1, 'secret']);
  }
}
