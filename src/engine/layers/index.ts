/**
 * engine/layers: unpacked image layers on disk, and every file operation that must be confined inside somebody else's
 * tree (unpack, diff, build COPY/ADD, `cp` in and out), done by the native helper `tscompose-layer`. Refuses to know
 * images, tags and registries; refuses to resolve a path of a container or an image in this process.
 */
export { chainIds } from './chain.ts';
export type {
  EnsureOptions,
  LayerContent,
  LayerRecord,
  LayerStore,
  LayerStoreOptions,
} from './layer-store.ts';
export type {
  ApplyOptions,
  ApplyReport,
  ArchiveSource,
  ContainerTree,
  CopyReport,
  CopyRequest,
  CopySource,
  ExtractRequest,
  LayerTool,
  LayerToolOptions,
  TreeEntry,
  TreeMount,
} from './layer-tool.ts';
export { openLayerStore } from './open-layer-store.ts';
export { openLayerTool } from './run-layer-tool.ts';
