import { lchownSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { RunResult } from '../../src/host/index.ts';
import { type Bundle, type Config, openWorkshop, type Workshop } from '../kit/bundle.ts';
import { createContainer } from '../kit/oci-container.ts';

/** Where id 0 of the containers' user namespaces is outside. */
export const FIRST_ID = 200_000;
export const MAP = [{ containerID: 0, hostID: FIRST_ID, size: 65_536 }];

/** A new user namespace with the usual 65,536 ids. */
export function withUsers(config: Config): void {
  config.linux.namespaces.push({ type: 'user' });
  config.linux['uidMappings'] = MAP;
  config.linux['gidMappings'] = MAP;
}

/** Gives a tree to one owner, links themselves included. */
export function giveTree(path: string, owner: number): void {
  lchownSync(path, owner, owner);
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true }))
    lchownSync(join(entry.parentPath, entry.name), owner, owner);
}

export interface Created {
  readonly bundle: Bundle;
  readonly pid: number;
  /** A file of the first process below /proc. */
  proc(name: string): string;
  /** What the container has written so far. */
  output(): string;
  exec(...words: string[]): Promise<RunResult>;
  remove(): Promise<void>;
}

/** A workshop whose root file systems can be given to a user namespace. */
export class Containers {
  readonly shop: Workshop = openWorkshop();

  bundle(words: readonly string[], change?: (config: Config) => void, owner = FIRST_ID): Bundle {
    const bundle = this.shop.bundle(words, change);
    giveTree(bundle.rootfs, owner);
    return bundle;
  }

  /** Output of a container that runs the payload with these words. */
  async inside(words: readonly string[], change?: (config: Config) => void, owner = FIRST_ID): Promise<string> {
    const bundle = this.bundle(words, change, owner);
    const result = await bundle.runtime('run', bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(this.left(bundle)).toEqual([]);
    return result.stdout;
  }

  /** What is left of one container, others may be there. */
  left({ id, directory }: Bundle): string[] {
    const mine = (entry: string) => entry === id || entry.endsWith(`/${id}`) || entry.includes(`${directory}/`);
    return this.shop.leftovers().filter(mine);
  }

  async created(bundle: Bundle): Promise<Created> {
    const { pid, output, stderr } = await createContainer(bundle);
    expect(stderr).toBe('');
    return {
      bundle,
      pid,
      output,
      proc: (name) => readFileSync(`/proc/${pid}/${name}`, 'utf8'),
      exec: (...args) => bundle.runtime('exec', bundle.id, '/bin/payload', ...args),
      remove: async () => {
        expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0, stderr: '' });
      },
    };
  }

  /** What `create` says when it refuses, with nothing left of it. */
  async refusal(change: (config: Config) => void, words: readonly string[] = ['true']): Promise<string> {
    const bundle = this.bundle(words, change);
    const result = await bundle.runtime('create', bundle.id);
    expect(result.status).toBe(1);
    expect(this.left(bundle)).toEqual([]);
    return result.stderr;
  }

  async close(): Promise<void> {
    await this.shop.close();
    expect(this.shop.leftovers()).toEqual([]);
  }
}

/** Fields of /proc/PID/uid_map and the like. */
export function fields(text: string): string[][] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
}
