/**
 * engine/images: images of this engine – an OCI content store, the index of names, pull, load, save, import, removal.
 * Image configs are hostile input and pass a decoder with limits. Refuses to know containers (whoever uses an image is
 * asked through a callback) and never lets image content decide anything on the host.
 */
export type {
  HealthcheckConfig,
  HistoryEntry,
  Image,
  ImageConfig,
  ImageLayer,
  ImageRunConfig,
} from './image.ts';
export type {
  CreateImageRequest,
  ImageDeletion,
  ImageHistoryRow,
  ImageProgress,
  ImageStore,
  ImageStoreOptions,
  ImageUser,
  ImportRequest,
  LayerDescriptor,
  PruneReport,
  PullOptions,
  RemoveOptions,
} from './image-store.ts';
export { EMPTY_RUN_CONFIG } from './make-image.ts';
export { openImageStore } from './open-image-store.ts';
