import type { RemoteFiles } from './remote/remote-files.ts';
import type { SourceReader } from './source.ts';

/** What the caller knows: flags, its environment and how to read files. */
export interface LoadOptions {
  /** `-f` in order; default: COMPOSE_FILE, else discovery from `currentDirectory` upwards. */
  readonly files?: readonly string[];
  /** Absolute; relative paths given in these options start here. */
  readonly currentDirectory: string;
  /** `--project-directory`; default: the folder of the first file. */
  readonly projectDirectory?: string;
  /** `-p`; default: COMPOSE_PROJECT_NAME, `name:`, the folder's name. */
  readonly projectName?: string;
  /** `--env-file` in order; default: COMPOSE_ENV_FILES, else `.env` of the project folder when there. */
  readonly envFiles?: readonly string[];
  /** `--profile`; default: COMPOSE_PROFILES. `*` activates all. */
  readonly profiles?: readonly string[];
  /** Services named on the command line; their profiles become active. Unknown names are errors. */
  readonly services?: readonly string[];
  /** The caller's environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly reader: SourceReader;
  /** Fetches files that are named by an address; without it such names are errors. */
  readonly remote?: RemoteFiles;
  /** `linux/amd64` or the like; a build for another platform is refused. Default: not checked. */
  readonly hostPlatform?: string;
  /**
   * `run` (default) refuses attributes that the specification knows and this version does not carry out; `show` keeps
   * them, for `config`.
   */
  readonly purpose?: 'run' | 'show';
}
