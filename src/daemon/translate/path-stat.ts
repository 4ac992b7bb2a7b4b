import type { TreeEntry } from '../../engine/index.ts';

/** Kinds and bits of `st_mode`, and the bits that stand for them on the wire (those of Go's FileMode). */
const KINDS: readonly (readonly [number, number])[] = [
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
  [0o020000, 2 ** 26 + 2 ** 21],
];
const BITS: readonly (readonly [number, number])[] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** File type and permissions as they travel. */
export function wireFileMode(mode: number): number {
  const kind = KINDS.find(([bits]) => (mode & 0o170000) === bits)?.[1] ?? 0;
  const special = BITS.reduce((sum, [bit, wire]) => sum + (mode & bit ? wire : 0), 0);
  return kind + special + (mode & 0o777);
}

/** Content of the `X-Docker-Container-Path-Stat` header. */
export function formatPathStat(entry: TreeEntry): string {
  const { name, size, mtime, linkTarget } = entry;
  const stat = { name, size, mode: wireFileMode(entry.mode), mtime, linkTarget };
  return Buffer.from(JSON.stringify(stat)).toString('base64');
}
