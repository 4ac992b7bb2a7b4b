import type { Readable } from 'node:stream';
import type { Digest } from '../../core/index.ts';
import type { ProcessIdentity } from '../../host/index.ts';

export interface ApplyOptions {
  /** Whiteouts become overlay form (device 0/0, `trusted.overlay.opaque`); without it they are an error. */
  readonly overlay?: boolean;
  /** Everything belongs to root: a build context's owners mean nothing here. */
  readonly stripOwner?: boolean;
  /** File that receives what can only be settled above the lower layers; see `fixUp`. */
  readonly pending?: string;
  readonly signal?: AbortSignal;
}

export interface ApplyReport {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  /** Bytes of file content. */
  readonly bytes: number;
  readonly entries: number;
  /** Directories that the archive only implied, and hard links to files of lower layers: work for `fixUp`. */
  readonly pending: number;
}

/** A bind mount shown inside a tree, as a stopped container's volumes are for `cp`. */
export interface TreeMount {
  readonly source: string;
  readonly target: string;
  readonly readOnly?: boolean;
}

/** Whose files: a running container (its mount namespace), an overlay stack (lower directories top first), or a plain directory. */
export type ContainerTree =
  | { readonly kind: 'process'; readonly process: ProcessIdentity }
  | {
      readonly kind: 'overlay';
      readonly lower: readonly string[];
      /** Absent: the tree is read-only. */
      readonly upper?: string;
      readonly work?: string;
      readonly mounts?: readonly TreeMount[];
    }
  | { readonly kind: 'directory'; readonly path: string };

/** One source of COPY or ADD. Paths are relative to the source root, wildcards already expanded. */
export type CopySource =
  | { readonly kind: 'directory'; readonly root: string; readonly paths: readonly string[] }
  /** Another stage or image: its lower directories, top first. */
  | { readonly kind: 'layers'; readonly lower: readonly string[]; readonly paths: readonly string[] };

export interface CopyRequest {
  /** The stage so far, top first; empty for scratch. */
  readonly lower: readonly string[];
  /** Directory that receives the change, and overlay's work directory on the same file system; both exist. */
  readonly upper: string;
  readonly work: string;
  readonly source: CopySource;
  /** Absolute path in the image; a trailing slash means a directory. */
  readonly destination: string;
  /** Owner of everything that is created; root when absent. Names are resolved by the caller. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Permission bits of everything that is copied, replacing the source's. */
  readonly mode?: number;
  /** ADD: a source file that is a tar archive (plain, gzip, bzip2, xz, zstd) is unpacked at the destination. */
  readonly extractArchives?: boolean;
  /** COPY --parents: keep the source's directories below the destination. */
  readonly parents?: boolean;
  readonly signal?: AbortSignal;
}

export interface CopyReport {
  readonly entries: number;
  readonly bytes: number;
}

export interface ArchiveSource {
  readonly tree: ContainerTree;
  /** Absolute path in the tree. Parents may be symbolic links; the last one is followed only with a trailing `/` or `/.`. */
  readonly path: string;
  /** Leave out what other file systems show (volumes), as `export` does. */
  readonly oneFileSystem?: boolean;
  readonly signal?: AbortSignal;
}

export interface ExtractRequest extends ArchiveSource {
  /** Refuse to replace a directory by a non-directory and the other way round. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Keep the archive's owners; otherwise everything belongs to `owner`. */
  readonly keepOwner?: boolean;
  /** Owner of everything that is created; root when absent. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** One entry of a tree as `docker cp` asks for it. */
export interface TreeEntry {
  readonly name: string;
  readonly size: number;
  /** `st_mode`: file type and permission bits. */
  readonly mode: number;
  /** RFC 3339 with nanoseconds. */
  readonly mtime: string;
  /** Target of a symbolic link as written, else empty. */
  readonly linkTarget: string;
}

/** The native helper, typed. Every call is one process. Errors: `layer/invalid` (hostile or damaged archive), `layer/not-found`, `layer/exhausted` (a limit), `layer/conflict`, `layer/failed`. */
export interface LayerTool {
  /** Unpacks an archive (plain, gzip, zstd) into an existing directory. */
  apply(root: string, archive: Readable, options?: ApplyOptions): Promise<ApplyReport>;
  /** Settles what `apply` left pending, now that the lower directories (top first) exist. */
  fixUp(root: string, lower: readonly string[], pending: string): Promise<void>;
  /** Returns when the file system of a directory has everything on the disk. */
  sync(root: string): Promise<void>;
  /** An overlay upper directory as a layer tar, always the same bytes for the same tree. A failure ends the stream with an error. */
  diff(upper: string, options?: { readonly signal?: AbortSignal }): Readable;
  /** A plain directory as tar. */
  pack(root: string, options?: { readonly paths?: readonly string[]; readonly signal?: AbortSignal }): Readable;
  /** COPY and ADD of the builder. */
  copy(request: CopyRequest): Promise<CopyReport>;
  /** `cp` out of a container: a tar whose top entry is named like the path's last element; path `/` is the whole tree (`export`). */
  archive(source: ArchiveSource): Readable;
  /** `cp` into a container: unpacks a tar below an existing directory. */
  extract(request: ExtractRequest, archive: Readable): Promise<ApplyReport>;
  stat(source: ArchiveSource): Promise<TreeEntry>;
}

export interface LayerToolOptions {
  /** Absolute path of the `tscompose-layer` program. */
  readonly program: string;
}
