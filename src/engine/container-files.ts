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
  /** Unpacks a tar below an existing directory; a read-only root or volume is refused with `container/denied`. */
  write(ref: string, path: string, archive: Readable, options?: WriteFilesOptions): Promise<void>;
  /** The whole root file system, without volumes. */
  exportTree(ref: string, signal?: AbortSignal): Promise<Readable>;
}

/** Files over the containers of an engine. */
export function createContainerFiles(containers: ContainerService, tool: LayerTool): ContainerFiles {
  const source = async (ref: string, path: string) => ({
    tree: treeOf(await containers.inspect(ref)),
    path: absolute(path),
  });
  return {
    async stat(ref, path) {
      const { tree } = await source(ref, path);
      return tool.stat({ tree, path: absolute(path) }).catch(explain(ref, path));
    },
    read: async (ref, path, signal) => tool.archive({ ...(await source(ref, path)), ...(signal && { signal }) }),
    async write(ref, path, archive, options = {}) {
      const details = await containers.inspect(ref);
      const owner = options.toContainerUser ? ownerOf(details) : undefined;
      const request = {
        tree: treeOf(details),
        path: absolute(path),
        keepOwner: owner === undefined,
        ...(owner && { owner }),
        ...(options.noOverwriteDirNonDir && { noOverwriteDirNonDir: true }),
        ...(options.signal && { signal: options.signal }),
      };
      await tool.extract(request, archive).catch(explain(ref, path, details));
    },
    exportTree: async (ref, signal) =>
      tool.archive({ ...(await source(ref, '/')), oneFileSystem: true, ...(signal && { signal }) }),
  };
}

/** A refusal of the helper in the words that docker's users and scripts know. */
function explain(ref: string, path: string, details?: ContainerDetails): (error: unknown) => never {
  return (error) => {
    if (!(error instanceof TscError)) throw error;
    if (error.code === 'layer/not-found') {
      throw new TscError('layer/not-found', `Could not find the file ${path} in container ${ref}`);
    }
    if (error.code === 'layer/denied' && details) {
      const inside = details.mounts.filter(({ destination }) => `${absolute(path)}/`.startsWith(`${destination}/`));
      const mount = inside.toSorted((a, b) => b.destination.length - a.destination.length)[0];
      if (mount && !mount.readWrite) {
        throw new TscError('container/denied', 'mounted volume is marked read-only');
      }
      if (!mount && details.host.readonlyRootfs) {
        throw new TscError('container/denied', 'container rootfs is marked read-only');
      }
    }
    throw error;
  };
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

function treeOf(details: ContainerDetails): ContainerTree {
  if (details.process) return { kind: 'process', process: details.process };
  if (details.state.pid > 0)
    throw new TscError('container/conflict', `container ${details.name} is ending, or its monitor is not known`, {
      hint: 'try again when it has ended',
    });
  const { lowerDirectories: lower, upperDirectory: upper, workDirectory: work } = details;
  return {
    kind: 'overlay',
    // A root that is read-only when the container runs is so now too; volumes may be written all the same.
    ...(details.host.readonlyRootfs && lower.length > 0 ? { lower: [upper, ...lower] } : { lower, upper, work }),
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
