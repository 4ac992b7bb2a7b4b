import type { Extensible } from './extension.ts';
import type { Service } from './service.ts';

/** The canonical model of one application: every short form expanded, every path absolute, every default filled in. */
export interface Project extends Extensible {
  /** Lower case, `[a-z0-9][a-z0-9_-]*`. */
  readonly name: string;
  /** Absolute project folder; relative paths of the files given by `-f` start here. */
  readonly workingDirectory: string;
  /** Absolute paths of the top files in merge order (`-` for standard input); included and extended files are not listed. */
  readonly composeFiles: readonly string[];
  /** Absolute paths of the env files that gave variables for interpolation. */
  readonly envFiles: readonly string[];
  /** Variables that interpolation saw: the caller's over those of the env files. */
  readonly environment: ReadonlyMap<string, string>;
  /** Names of the profiles that were active. */
  readonly profiles: readonly string[];
  /** Active services in the order of the files. */
  readonly services: ReadonlyMap<string, Service>;
  /** Services that no active profile selects. */
  readonly disabledServices: ReadonlyMap<string, Service>;
  /** Networks an active service uses, the implicit `default` among them. */
  readonly networks: ReadonlyMap<string, Network>;
  /** Volumes an active service uses. */
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly secrets: ReadonlyMap<string, FileObject>;
  readonly configs: ReadonlyMap<string, FileObject>;
  readonly models: ReadonlyMap<string, Model>;
}

/** A network of the application. */
export interface Network extends Extensible {
  /** Real name on the engine: `<project>_<key>` unless the file names it. */
  readonly name: string;
  readonly driver?: string;
  readonly driverOpts: ReadonlyMap<string, string>;
  readonly ipam: Ipam;
  /** Must exist already; never created nor removed. */
  readonly external: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly enableIpv4?: boolean;
  readonly enableIpv6?: boolean;
  readonly labels: ReadonlyMap<string, string>;
}

/** Address management of a network. */
export interface Ipam extends Extensible {
  readonly driver?: string;
  readonly config: readonly IpamPool[];
  readonly options: ReadonlyMap<string, string>;
}

/** One address pool. */
export interface IpamPool extends Extensible {
  readonly subnet?: string;
  readonly ipRange?: string;
  readonly gateway?: string;
  readonly auxAddresses: ReadonlyMap<string, string>;
}

/** A named volume of the application. */
export interface Volume extends Extensible {
  /** Real name on the engine: `<project>_<key>` unless the file names it. */
  readonly name: string;
  readonly driver?: string;
  readonly driverOpts: ReadonlyMap<string, string>;
  /** Must exist already; never created nor removed. */
  readonly external: boolean;
  readonly labels: ReadonlyMap<string, string>;
}

/** A secret or config: a small file given to services. One of `file`, `environment`, `content` says where it comes from. */
export interface FileObject extends Extensible {
  readonly name: string;
  /** Absolute path on the host. */
  readonly file?: string;
  /** Name of the caller's variable that holds the content. */
  readonly environment?: string;
  readonly content?: string;
  readonly external: boolean;
  readonly labels: ReadonlyMap<string, string>;
  readonly driver?: string;
  readonly driverOpts: ReadonlyMap<string, string>;
  readonly templateDriver?: string;
}

/** An AI model of the application. */
export interface Model extends Extensible {
  readonly name?: string;
  readonly model?: string;
  readonly contextSize?: number;
  readonly runtimeFlags: readonly string[];
}
