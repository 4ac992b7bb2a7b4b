import type { RemoteAddress } from './remote-address.ts';

/** How the loader gets at remote files; the caller owns the effects and keeps a copy. */
export interface RemoteFiles {
  /** Brings an address here. Rejects with the reason. */
  fetch(address: RemoteAddress): Promise<FetchedFile>;
}

/** A remote compose file that is on this machine now. */
export interface FetchedFile {
  /** Absolute path of the file. */
  readonly file: string;
  /** Absolute path of the tree that came with it; no link in there leads out. */
  readonly root: string;
  /** The user said that the file may use what this machine has. */
  readonly trusted: boolean;
  /** What the user should know, such as that the copy may be old. */
  readonly warning?: string;
}

/** Where the text of an untrusted remote file came from. */
export interface Origin {
  /** Address, fit to be shown. */
  readonly address: string;
  /** The only folders that its paths may name. */
  readonly folders: readonly string[];
}
