/** Docker's mark of a volume that got no name, by which clients tell it from one that a user named in 64 digits. */
export const ANONYMOUS_VOLUME_LABEL = 'com.docker.volume.anonymous';

/** A volume of the local driver. */
export interface Volume {
  readonly name: string;
  readonly driver: 'local';
  /** Where its data is on the host. */
  readonly mountpoint: string;
  /** RFC 3339. */
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** Made without a name for one container. */
  readonly anonymous: boolean;
}

export interface VolumeSpec {
  /** Absent or empty: a generated 64 digit name, an anonymous volume. */
  readonly name?: string;
  /** Only `local`. */
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface VolumeFilter {
  /** Substring. */
  readonly name?: readonly string[];
  readonly label?: readonly string[];
  readonly driver?: readonly string[];
  /** Only those no container uses (true), or uses (false). */
  readonly dangling?: boolean;
}

export interface VolumeUsage {
  readonly sizeBytes: number;
  readonly references: number;
}

/** Named and anonymous volumes. */
export interface VolumeService {
  /** Idempotent for an equal spec; `volume/conflict` when the name exists with other options; `volume/unsupported` for other drivers. */
  create(spec: VolumeSpec): Promise<Volume>;
  /** `volume/not-found`. */
  inspect(name: string): Volume;
  list(filter?: VolumeFilter): readonly Volume[];
  /** `volume/in-use` while a container refers to it. */
  remove(name: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Unused ones; only anonymous unless `all`. */
  prune(filter?: {
    readonly all?: boolean;
    readonly label?: readonly string[];
    readonly labelNot?: readonly string[];
  }): Promise<{ readonly deleted: readonly string[]; readonly spaceReclaimed: number }>;
  usage(name: string): Promise<VolumeUsage>;
}
