import type { Origin } from './remote/remote-files.ts';

/** How the loader gets at files; the caller owns the effects. Paths are absolute, or `-` for standard input. */
export interface SourceReader {
  /**
   * The bytes (or the decoded text) of a regular file, undefined when nothing is there. Rejects when it is there and cannot be read; expected
   * to refuse devices and pipes (env files are named by untrusted files too) and to cap the size.
   */
  read(path: string): Promise<Uint8Array | string | undefined>;
}

/** One text file taking part in a load. */
export interface Source {
  /** Absolute path, or `-`. */
  readonly file: string;
  readonly text: string;
  /** Absolute folder that relative paths written in this file start from. */
  readonly base: string;
  /** Variables that hold for this file: an included one may have env files of its own. Absent: the caller's. */
  readonly lookup?: (name: string) => string | undefined;
  /** Set when the text came from a remote file that the user does not trust. */
  readonly origin?: Origin;
}
