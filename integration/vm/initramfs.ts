import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram } from '../../src/host/index.ts';

/** One entry of the guest's first root file system. */
export interface GuestFile {
  /** Absolute, in the guest. */
  readonly path: string;
  readonly content: Buffer | string;
  readonly mode?: number;
  readonly link?: boolean;
}

const DIRECTORY = 0o040755;
const REGULAR = 0o100000;
const SYMLINK = 0o120777;

/** One record of a `newc` archive: header of hexadecimal fields, name, content, each padded to four bytes. */
function record(inode: number, path: string, mode: number, content: Buffer): Buffer[] {
  const name = Buffer.from(`${path.replace(/^\//, '')}\0`);
  const links = mode === DIRECTORY ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  const pad = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
  return [Buffer.from(header), name, pad(header.length + name.length), content, pad(content.length)];
}

/** The files as an archive the kernel unpacks; missing parents are made. */
export function writeInitramfs(files: readonly GuestFile[]): Buffer {
  const parts: Buffer[] = [];
  const known = new Set(['/']);
  let inode = 1;
  const directories = (path: string): void => {
    if (known.has(path)) return;
    directories(dirname(path));
    known.add(path);
    parts.push(...record(inode++, path, DIRECTORY, Buffer.alloc(0)));
  };
  for (const { path, content, mode = 0o644, link = false } of files) {
    if (known.has(path)) continue;
    directories(dirname(path));
    known.add(path);
    parts.push(...record(inode++, path, link ? SYMLINK : REGULAR | mode, Buffer.from(content)));
  }
  parts.push(...record(0, 'TRAILER!!!', 0, Buffer.alloc(0)));
  return Buffer.concat(parts);
}

/** A file of the host at the same path, or at another. */
export function hostFile(source: string, path: string = source): GuestFile {
  return { path, content: readFileSync(source), mode: lstatSync(source).mode & 0o111 ? 0o755 : 0o644 };
}

/** A directory of the host with all below. */
export function hostTree(source: string, path: string): GuestFile[] {
  return readdirSync(source, { withFileTypes: true }).flatMap((entry) => {
    const [from, to] = [join(source, entry.name), join(path, entry.name)];
    if (entry.isDirectory()) return hostTree(from, to);
    if (entry.isSymbolicLink()) return [{ path: to, content: readlinkSync(from), link: true }];
    return entry.isFile() ? [hostFile(from, to)] : [];
  });
}

/** Programs of the host with the shared libraries they load. */
export async function hostPrograms(programs: readonly string[]): Promise<GuestFile[]> {
  const { stdout } = await runProgram('/usr/bin/ldd', programs);
  const libraries = new Set([...stdout.matchAll(/(?:=> |^\s)(\/\S+) \(0x/gm)].map((match) => match[1] ?? ''));
  return [...programs, ...libraries].map((path) => ({ ...hostFile(path), mode: 0o755 }));
}

/** One program under another path, with what it links to. */
export async function hostProgram(source: string, path: string): Promise<GuestFile[]> {
  return (await hostPrograms([source])).map((file) => (file.path === source ? { ...file, path } : file));
}

/** Kernel modules in an order in which each finds what it needs: by the `depends=` that stands in every module. */
export function orderModules(directory: string, wanted: readonly string[]): string[] {
  const places = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.name.endsWith('.ko'))
      places.set(entry.name.slice(0, -3).replaceAll('-', '_'), join(entry.parentPath, entry.name));
  const ordered: string[] = [];
  const add = (name: string): void => {
    const place = places.get(name);
    // Not a module of this kernel: built in.
    if (place === undefined || ordered.includes(place)) return;
    const needs = /\0depends=([^\0]*)\0/.exec(readFileSync(place, 'latin1'))?.[1] ?? '';
    for (const need of needs.split(',')) add(need.replaceAll('-', '_'));
    ordered.push(place);
  };
  for (const name of wanted) add(name);
  return ordered;
}
