import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { writeArchive } from '../archive/index.ts';
import type { EngineClient } from '../client/index.ts';
import { describePath } from '../host/index.ts';
import { addEntry } from './pack-context.ts';

/** One path to bring to a container. */
export interface SyncPath {
  /** Relative to the watched folder; empty when a single file is watched. */
  readonly path: string;
  /** Absolute path in the container. */
  readonly target: string;
}

export interface SyncResult {
  readonly copied: readonly string[];
  readonly deleted: readonly string[];
}

/**
 * Makes paths in a container equal to those below `root`: what is there is sent in one archive, what is gone is deleted in
 * one exec.
 */
export async function syncFiles(
  client: EngineClient,
  containerId: string,
  root: string,
  paths: readonly SyncPath[],
): Promise<SyncResult> {
  const found = await Promise.all(
    paths.map(async (item) => ({ item, entry: await describePath(root, item.path || '.') })),
  );
  const present = found.flatMap(({ item, entry }) => (entry ? [{ item, entry }] : []));
  const gone = found.filter(({ entry }) => !entry).map(({ item }) => item.target);
  if (present.length > 0) {
    const archive: Readable = writeArchive(async (writer) => {
      for (const { item, entry } of present) await addEntry(writer, root, entry, item.target.replace(/^\/+/, ''));
    });
    await client.putArchive(containerId, '/', archive);
  }
  if (gone.length > 0) await runQuietly(client, containerId, ['rm', '-rf', '--', ...gone]);
  return { copied: present.map(({ item }) => item.target), deleted: gone };
}

async function runQuietly(client: EngineClient, containerId: string, command: readonly string[]): Promise<void> {
  const exec = await client.createExec(containerId, { command, user: '0' });
  const session = await client.startExec(exec, { tty: false, stdin: false });
  for await (const chunk of session.output) void chunk;
}

/** Where a path below a watched folder lies in the container. */
export function targetPath(target: string, path: string): string {
  return path === '' ? target : posix.join(target, path);
}
