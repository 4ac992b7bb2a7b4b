/**
 * volumes: directories that outlive containers – create, list, remove, prune of the local driver. Refuses other drivers
 * and knows containers only as users of a name.
 */
export type { Volume, VolumeFilter, VolumeService, VolumeSpec, VolumeUsage } from './volume.ts';
