import { join, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { isKind, TscError } from '../../core/index.ts';
import {
  hashFile,
  hashTexts,
  listTree,
  makeDirectory,
  readTextIfExists,
  resolveInside,
  type TreeEntryOnDisk,
} from '../../host/index.ts';
import type { LayerTool } from '../layers/index.ts';

const DOCKERFILE_LIMIT = 4 << 20;

/** A build context unpacked into a directory that only this build touches. */
export class BuildContext {
  readonly root: string;
  readonly #entries: readonly TreeEntryOnDisk[];
  readonly #hashes = new Map<string, Promise<string>>();

  private constructor(root: string, entries: readonly TreeEntryOnDisk[]) {
    this.root = root;
    this.#entries = entries;
  }

  /** Unpacks the archive below `root`, confined. Throws `layer/…` for a damaged or hostile one. */
  static async unpack(root: string, archive: Readable, tool: LayerTool, signal?: AbortSignal): Promise<BuildContext> {
    await makeDirectory(root);
    await tool.apply(root, archive, { stripOwner: true, ...(signal && { signal }) });
    return BuildContext.open(root);
  }

  /** Takes a directory that is already there. */
  static async open(root: string): Promise<BuildContext> {
    return new BuildContext(root, await listTree(root));
  }

  /** Text of the Dockerfile. Throws `build/not-found`, `build/denied` when the path leads outside. */
  async readDockerfile(path: string): Promise<string> {
    try {
      const text = await readTextIfExists(await resolveInside(this.root, path), DOCKERFILE_LIMIT);
      if (text !== undefined) return text;
    } catch (error) {
      if (isKind(error, 'denied'))
        throw new TscError('build/denied', `the Dockerfile ${path} lies outside the build context`, { cause: error });
      if (!isKind(error, 'not-found')) throw error;
    }
    throw new TscError('build/not-found', `the build context has no ${path}`, {
      hint: 'name the file with build.dockerfile or -f, relative to the context; check that .dockerignore does not exclude it',
    });
  }

  /**
   * Paths a COPY source means, relative to the root (`.` is the root itself): wildcards expanded by the rules of Go's
   * filepath.Match, everything kept inside. Throws `build/not-found` when nothing matches.
   */
  expand(source: string): string[] {
    const clean = posix.resolve('/', source).slice(1);
    if (clean === '') return ['.'];
    const matches = /[*?[\\]/.test(clean)
      ? this.#entries.map((entry) => entry.path).filter(matcher(clean))
      : this.#find(clean)
        ? [clean]
        : [];
    if (matches.length > 0) return matches;
    throw new TscError('build/not-found', `${source} is not in the build context`, {
      hint: 'paths are relative to the context; check that .dockerignore does not exclude it',
    });
  }

  /** Digest over everything at and below the paths: names, modes, link targets, contents; times and owners do not count. */
  async digest(paths: readonly string[]): Promise<string> {
    const parts: string[] = [];
    for (const path of paths) {
      const prefix = path === '.' ? '' : path;
      const inside = this.#entries.filter(
        (entry) => prefix === '' || entry.path === prefix || entry.path.startsWith(`${prefix}/`),
      );
      // A source that is reached through a link inside the context: its own text does not show a change of the content.
      const target =
        inside.length === 0 || (inside.length === 1 && inside[0]?.kind === 'link')
          ? await this.#hashLinked(prefix)
          : '';
      const rows = await Promise.all(inside.map((entry) => this.#row(entry, prefix)));
      parts.push(posix.basename(prefix), target, ...rows);
    }
    return hashTexts(parts);
  }

  #find(path: string): boolean {
    if (this.#entries.some((entry) => entry.path === path)) return true;
    // Below a link to a directory inside the context.
    return this.#entries.some((entry) => entry.kind === 'link' && path.startsWith(`${entry.path}/`));
  }

  async #row(entry: TreeEntryOnDisk, prefix: string): Promise<string> {
    const content = entry.kind === 'file' ? await this.#hash(entry.path) : entry.target;
    return `${entry.path.slice(prefix.length)}\0${entry.kind}\0${entry.mode.toString(8)}\0${content}`;
  }

  async #hashLinked(path: string): Promise<string> {
    try {
      const real = await resolveInside(this.root, path);
      const tree = await BuildContext.open(real);
      return await tree.digest(['.']);
    } catch (error) {
      // A dangling link is copied as it is.
      if (isKind(error, 'not-found') || isKind(error, 'denied')) return 'outside';
      throw error;
    }
  }

  #hash(path: string): Promise<string> {
    const known = this.#hashes.get(path);
    if (known) return known;
    const hash = hashFile(join(this.root, path));
    this.#hashes.set(path, hash);
    return hash;
  }
}

/** A Go filepath.Match pattern as a test: `*` and `?` stop at a slash, `[a-z]` and `[^a]` are classes, a backslash protects. */
export function matcher(pattern: string): (path: string) => boolean {
  let source = '';
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern[index] ?? '';
    const end = char === '[' ? pattern.indexOf(']', index + 2) : -1;
    if (char === '*') source += source.endsWith('[^/]*') ? '' : '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (end > 0) {
      source += `[${pattern.slice(index + 1, end).replace(/\\/g, '\\\\')}]`;
      index = end;
    } else {
      const literal = char === '\\' ? (pattern[++index] ?? '\\') : char;
      source += literal.replace(/[.+^${}()|[\]\\*?]/g, '\\$&');
    }
  }
  try {
    const expression = new RegExp(`^${source}$`);
    return (path) => expression.test(path);
  } catch (cause) {
    throw new TscError('build/invalid', `invalid pattern ${JSON.stringify(pattern)}`, { cause });
  }
}
