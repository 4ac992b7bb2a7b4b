/**
 * engine: containers, images, layers, networks, volumes, events and builds on this machine. Refuses the Engine API's JSON
 * (daemon) and everything about stacks; decides on host actions only from its own records, never from image content.
 */
export type { BuildOptions, BuildProgress, BuildRequest, BuildService } from './build/index.ts';
export { type ContainerFiles, createContainerFiles, type WriteFilesOptions } from './container-files.ts';
export type * from './containers/index.ts';
export { createBuildService } from './create-build-service.ts';
export { createEngine } from './engine.ts';
export type { CreateEngine, Engine, EngineInfo, EngineLogger, EngineOptions } from './engine-face.ts';
export type {
  EngineEvent,
  EventActor,
  EventFilter,
  EventInput,
  EventLog,
  EventQuery,
  EventType,
} from './events/index.ts';
export type * from './images/index.ts';
export type * from './layers/index.ts';
export { openLayerTool } from './layers/index.ts';
export type { LogFrame, LogFrames, LogQuery } from './logs/index.ts';
export type * from './network/index.ts';
export type * from './volumes/index.ts';
