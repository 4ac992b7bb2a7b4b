/**
 * volumes: directories that outlive containers – create, list, remove, prune of the local driver. Refuses other drivers
 * and knows containers only as users of a name; refuses driver options (nfs, device binds) with an error.
 */
export {
  ANONYMOUS_VOLUME_LABEL,
  type Volume,
  type VolumeFilter,
  type VolumeService,
  type VolumeSpec,
  type VolumeUsage,
} from './volume.ts';
export { createVolumeService, type VolumeServiceOptions } from './volume-service.ts';
