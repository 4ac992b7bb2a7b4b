import type { StringMap } from './container.ts';

/** Body of volume create. */
export interface VolumeCreateRequest {
  readonly Name?: string;
  readonly Driver?: string;
  readonly DriverOpts?: StringMap | null;
  readonly Labels?: StringMap | null;
  readonly ClusterVolumeSpec?: object | null;
}

/** A volume, in list and inspect. */
export interface Volume {
  readonly Name: string;
  readonly Driver: string;
  readonly Mountpoint: string;
  readonly CreatedAt: string;
  readonly Labels: StringMap | null;
  readonly Scope: string;
  readonly Options: StringMap | null;
  readonly UsageData?: { readonly Size: number; readonly RefCount: number };
}

export interface VolumeList {
  readonly Volumes: readonly Volume[];
  readonly Warnings: readonly string[] | null;
}
