/** Who the process runs as. */
export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export interface Rlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export interface ProcessInput {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly terminal: boolean;
  readonly consoleSize?: { readonly rows: number; readonly columns: number };
  readonly user: ProcessUser;
  /** Bounding set. */
  readonly capabilities: readonly string[];
  readonly rlimits: readonly Rlimit[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string | undefined;
}

/** `process` of config.json, also the whole of an exec's process.json. */
export interface OciProcess {
  readonly terminal: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: {
    readonly bounding: readonly string[];
    readonly effective: readonly string[];
    readonly permitted: readonly string[];
    readonly inheritable: readonly string[];
    readonly ambient: readonly string[];
  };
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
}

/**
 * The process part of the OCI configuration. Inheritable and ambient sets stay empty always: file capabilities would
 * otherwise gain from them. A user other than root starts without effective capabilities.
 */
export function buildProcess(input: ProcessInput): OciProcess {
  const active = input.user.uid === 0 ? input.capabilities : [];
  return {
    terminal: input.terminal,
    ...(input.consoleSize && {
      consoleSize: { height: input.consoleSize.rows, width: input.consoleSize.columns },
    }),
    user: {
      uid: input.user.uid,
      gid: input.user.gid,
      // The primary group is always among the supplementary ones: negative group permissions rely on it.
      additionalGids: [...new Set([input.user.gid, ...input.user.additionalGids])],
    },
    args: input.args,
    env: input.env,
    cwd: input.cwd,
    capabilities: {
      bounding: input.capabilities,
      effective: active,
      permitted: active,
      inheritable: [],
      ambient: [],
    },
    rlimits: input.rlimits,
    noNewPrivileges: input.noNewPrivileges,
    ...(input.oomScoreAdj !== undefined && { oomScoreAdj: input.oomScoreAdj }),
    ...(input.apparmorProfile !== undefined && { apparmorProfile: input.apparmorProfile }),
  };
}
