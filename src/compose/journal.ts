import type { Mapping, Span } from './node.ts';

/** One document that takes part in a load, before it was merged. */
export interface Layer {
  readonly tree: Mapping;
  /** The include that named it; undefined for files of the command line. */
  readonly from: Span | undefined;
}

/** What a load did, for explaining where a value came from. */
export interface Journal {
  /** In the order in which they were laid on each other, the lowest first. */
  readonly layers: Layer[];
  /** Documents of files that services extend, by path. */
  readonly extended: Map<string, readonly Mapping[]>;
  /** Env files of includes, by path; those of the project are in its facts. */
  readonly envFiles: string[];
  /** Addresses of remote files that take part and that the user does not trust. */
  readonly untrusted: string[];
}

export function emptyJournal(): Journal {
  return { layers: [], extended: new Map(), envFiles: [], untrusted: [] };
}
