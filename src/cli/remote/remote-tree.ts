/** A remote tree that is on this machine now. */
export interface Fetched {
  readonly root: string;
  /** The tree may be older than what the address names now. */
  readonly warning?: string;
}

/** What fetching goes by. */
export interface FetchOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Only what is kept. */
  readonly offline: boolean;
}
