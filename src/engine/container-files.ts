import type { Readable } from 'node:stream';
import { TscError } from '../core/index.ts';
import type { ContainerDetails, ContainerService } from './containers/index.ts';
import type { ContainerTree, LayerTool, TreeEntry } from './layers/index.ts';

export interface WriteFilesOptions {
  /** Refuse to replace a directory by a non-directory and the other way round. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Give everything to the container's user instead of keeping the archive's owners. */
  readonly toContainerUser?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Files of containers, running or not: a running one is entered, of a stopped one the layers and mounts are shown to the
 * native helper. Paths are absolute inside the container and never resolved here.
 */
export interface ContainerFiles {
  /** `layer/not-found` when nothing is at the path. */
  stat(ref: string, path: string): Promise<TreeEntry>;
  /** A tar whose top entry is named like the path's last element. */
  read(ref: string, path: string, signal?: AbortSignal): Promise<Readable>;
  /** Unpacks a tar below an existing directory; a read-only root is refused with `container/denied`. */
  write(ref: string, path: string, archive: Readable, options?: WriteFilesOptions): Promise<void>;
  /** The whole root file system, without volumes. */
  exportTree(ref: string, signal?: AbortSignal): Promise<Readable>;
}

/** Files over the containers of an engine. */
export function createContainerFiles(containers: ContainerService, tool: LayerTool): ContainerFiles {
  const treeFor = async (ref: string) => treeOf(await containers.inspect(ref));
  return {
    stat: async (ref, path) => tool.stat({ tree: await treeFor(ref), path: absolute(path) }),
    read: async (ref, path, signal) =>
      tool.archive({ tree: await treeFor(ref), path: absolute(path), ...(signal && { signal }) }),
    async write(ref, path, archive, options = {}) {
      const details = await containers.inspect(ref);
      if (details.host.readonlyRootfs) {
        throw new TscError('container/denied', `the root file system of container ${details.name} is read-only`);
      }
      const owner = options.toContainerUser ? ownerOf(details) : undefined;
      const request = {
        tree: treeOf(details),
        path: absolute(path),
        keepOwner: owner === undefined,
        ...(owner && { owner }),
        ...(options.noOverwriteDirNonDir && { noOverwriteDirNonDir: true }),
        ...(options.signal && { signal: options.signal }),
      };
      await tool.extract(request, archive);
    },
    exportTree: async (ref, signal) =>
      tool.archive({ tree: await treeFor(ref), path: '/', oneFileSystem: true, ...(signal && { signal }) }),
  };
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

function treeOf(details: ContainerDetails): ContainerTree {
  if (details.state.pid > 0) return { kind: 'pid', pid: details.state.pid };
  return {
    kind: 'overlay',
    lower: details.lowerDirectories,
    upper: details.upperDirectory,
    work: details.workDirectory,
    mounts: details.mounts
      .filter((mount) => mount.type === 'bind' || mount.type === 'volume')
      .map((mount) => ({ source: mount.source, target: mount.destination, readOnly: !mount.readWrite })),
  };
}

// Names would have to be looked up inside the container: only numbers are taken.
function ownerOf(details: ContainerDetails): { readonly uid: number; readonly gid: number } | undefined {
  const { user } = details.config;
  if (user === '') return undefined;
  const [uid = '', gid = ''] = user.split(':');
  if (!/^\d+$/.test(uid) || !/^\d*$/.test(gid)) {
    throw new TscError('container/unsupported', `files cannot be given to user ${user} of container ${details.name}`, {
      hint: 'only users given by number are known from outside; copy without changing the owner',
    });
  }
  return { uid: Number(uid), gid: Number(gid === '' ? uid : gid) };
}
