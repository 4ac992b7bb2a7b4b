import { createHash } from 'node:crypto';
import { basename, isAbsolute, join, relative, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import {
  type ArchiveWriter,
  compileIgnorePatterns,
  type IgnoreMatcher,
  parseIgnoreFile,
  writeArchive,
} from '../archive/index.ts';
import type { Build } from '../compose/index.ts';
import { TscError } from '../core/index.ts';
import { describePath, isErrno, readFileStream, readTextIfExists, type TreeEntry, walkTree } from '../host/index.ts';

/** A build context ready to be sent. */
export interface PackedContext {
  readonly archive: Readable;
  /** Path of the Dockerfile inside the archive. */
  readonly dockerfile: string;
}

/**
 * Packs a build context: everything below the folder that .dockerignore leaves in, and the Dockerfile also when it is
 * ignored, inline or outside. Owners become root, as every builder's context has it.
 */
export async function packContext(build: Build): Promise<PackedContext> {
  if (/^(https?|git|ssh):\/\/|^git@/.test(build.context)) {
    throw new TscError(
      'stack/unsupported',
      `build context ${build.context}: only folders on this machine are supported`,
      {
        hint: 'clone it, and give the folder as context',
      },
    );
  }
  const dockerfile = await locateDockerfile(build);
  const matcher = await readIgnoreRules(build.context, dockerfile);
  const keep = new Set(dockerfile.content === undefined ? [dockerfile.name] : []);
  const archive = writeArchive(async (writer) => {
    if (dockerfile.content !== undefined) await writer.add({ name: dockerfile.name }, dockerfile.content);
    for await (const entry of walkTree(build.context, (path, isDirectory) => decide(matcher, keep, path, isDirectory)))
      await addEntry(writer, build.context, entry);
  });
  return { archive, dockerfile: dockerfile.name };
}

interface Dockerfile {
  /** Name inside the archive. */
  readonly name: string;
  /** Text that is not part of the folder. */
  readonly content?: string;
  /** Absolute path; absent when inline. */
  readonly path?: string;
}

async function locateDockerfile(build: Build): Promise<Dockerfile> {
  if (build.dockerfileInline !== undefined) return outside(build.dockerfileInline);
  const path = resolve(build.context, build.dockerfile ?? 'Dockerfile');
  const inside = relative(build.context, path);
  const text = await readDockerfile(path, build.context);
  if (inside === '..' || inside.startsWith('../') || isAbsolute(inside)) return { ...outside(text), path };
  return { name: inside, path };
}

function outside(content: string): Dockerfile {
  return { name: `.dockerfile.${createHash('sha256').update(content).digest('hex').slice(0, 12)}`, content };
}

async function readDockerfile(path: string, context: string): Promise<string> {
  const text = await readTextIfExists(path);
  if (text !== undefined) return text;
  const folder = await describePath(context, '.');
  if (!folder?.stats.isDirectory()) {
    throw new TscError('stack/not-found', `build context ${context} is not a folder`, {
      hint: 'check build.context in the compose file; it is relative to the project folder',
    });
  }
  throw new TscError('stack/not-found', `no ${basename(path)} in ${context}`, {
    hint: `create ${path}, or name another file with build.dockerfile`,
  });
}

/** `<Dockerfile>.dockerignore` beside the Dockerfile wins over `.dockerignore` of the folder. */
async function readIgnoreRules(context: string, dockerfile: Dockerfile): Promise<IgnoreMatcher> {
  const own = dockerfile.path === undefined ? undefined : await readTextIfExists(`${dockerfile.path}.dockerignore`);
  return compileIgnorePatterns(parseIgnoreFile(own ?? (await readTextIfExists(join(context, '.dockerignore'))) ?? ''));
}

function decide(matcher: IgnoreMatcher, keep: ReadonlySet<string>, path: string, isDirectory: boolean) {
  const ignored = matcher.isIgnored(path) && !keep.has(path);
  if (!isDirectory) return { report: !ignored, descend: false };
  const leadsToKept = [...keep].some((name) => name.startsWith(`${path}/`));
  return { report: !ignored, descend: !ignored || leadsToKept || matcher.mayReinclude(path) };
}

/** Adds a file, directory or link; sockets, pipes and devices have no place in an image context. */
export async function addEntry(
  writer: ArchiveWriter,
  root: string,
  entry: TreeEntry,
  name = entry.path,
): Promise<void> {
  const { stats } = entry;
  const header = { name, mode: stats.mode & 0o7777, mtime: stats.mtimeMs };
  if (entry.linkTarget !== undefined) await writer.add({ ...header, type: 'symlink', linkName: entry.linkTarget });
  else if (stats.isDirectory()) await writer.add({ ...header, type: 'directory' });
  else if (stats.isFile()) await addFile(writer, join(root, entry.path), stats.size, header);
}

async function addFile(
  writer: ArchiveWriter,
  path: string,
  size: number,
  header: { readonly name: string; readonly mode: number; readonly mtime: number },
): Promise<void> {
  try {
    await writer.addStream(header, size, readFileStream(path));
  } catch (error) {
    if (!isErrno(error, 'EACCES')) throw error;
    throw new TscError('stack/denied', `cannot read ${path} for the build context`, {
      hint: 'make it readable, or leave it out with .dockerignore',
      cause: error,
    });
  }
}
