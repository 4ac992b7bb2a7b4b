import type { Extensible } from './extension.ts';

/** Replicas, limits and update rules. */
export interface Deploy extends Extensible {
  readonly mode?: string;
  readonly replicas?: number;
  readonly labels: ReadonlyMap<string, string>;
  readonly updateConfig?: UpdateConfig;
  readonly rollbackConfig?: UpdateConfig;
  readonly resources?: Resources;
  readonly restartPolicy?: RestartPolicy;
  readonly placement?: Placement;
  readonly endpointMode?: string;
}

/** How a change rolls over the replicas. */
export interface UpdateConfig extends Extensible {
  readonly parallelism?: number;
  /** Nanoseconds. */
  readonly delay?: number;
  readonly failureAction?: string;
  /** Nanoseconds. */
  readonly monitor?: number;
  readonly maxFailureRatio?: number;
  readonly order?: string;
}

/** Hard ceilings and guaranteed shares. */
export interface Resources extends Extensible {
  readonly limits?: ResourceSet;
  readonly reservations?: ResourceSet;
}

/** One set of resource amounts. */
export interface ResourceSet extends Extensible {
  /** Cores. */
  readonly cpus?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly pids?: number;
  readonly devices: readonly DeviceRequest[];
  readonly genericResources: readonly GenericResource[];
}

/** A request for GPUs or similar. */
export interface DeviceRequest extends Extensible {
  readonly capabilities: readonly string[];
  readonly driver?: string;
  /** -1: all. */
  readonly count?: number;
  readonly deviceIds: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** A countable resource; clusters only. */
export interface GenericResource extends Extensible {
  readonly discreteResourceSpec?: { readonly kind?: string; readonly value?: number } & Extensible;
}

/** Restart rule that overrides `restart`. */
export interface RestartPolicy extends Extensible {
  /** none, on-failure or any. */
  readonly condition?: string;
  /** Nanoseconds. */
  readonly delay?: number;
  readonly maxAttempts?: number;
  /** Nanoseconds. */
  readonly window?: number;
}

/** Node selection; clusters only. */
export interface Placement extends Extensible {
  readonly constraints: readonly string[];
  readonly preferences: readonly ({ readonly spread?: string } & Extensible)[];
  readonly maxReplicasPerNode?: number;
}
