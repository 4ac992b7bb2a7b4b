import type { Extensible } from './extension.ts';

/** A secret or config given to a service or a build. */
export interface FileGrant extends Extensible {
  /** Key of the top-level entry. */
  readonly source: string;
  /** Absolute path, or a name below the default folder; absent: the default path. */
  readonly target?: string;
  readonly uid?: string;
  readonly gid?: string;
  readonly mode?: number;
}

/** A resource limit; equal values when the file gives a single number. -1: unlimited. */
export interface Ulimit extends Extensible {
  readonly soft: number;
  readonly hard: number;
  /** The file gave one number for both. */
  readonly single: boolean;
}
