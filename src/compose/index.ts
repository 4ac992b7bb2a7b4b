/**
 * compose: compose files in, one canonical {@link Project} out, every problem with file, line and column.
 * Pure: files come through an injected {@link SourceReader}. Refuses to guess: unknown keys, undeclared references and
 * attributes this version does not carry out are errors.
 */
export type { Build } from './build.ts';
export { ComposeError, formatFindings } from './compose-error.ts';
export type {
  Deploy,
  DeviceRequest,
  GenericResource,
  Placement,
  ResourceSet,
  Resources,
  RestartPolicy,
  UpdateConfig,
} from './deploy.ts';
export type { Extensible, PlainValue } from './extension.ts';
export type { FileGrant, Ulimit } from './grants.ts';
export { type LoadOptions, type LoadResult, loadProject } from './load.ts';
export { memoryReader } from './memory-reader.ts';
export type { FileObject, Ipam, IpamPool, Model, Network, Project, Volume } from './project.ts';
export { renderProject } from './render.ts';
export type {
  BindOptions,
  BlkioConfig,
  CredentialSpec,
  Dependency,
  Develop,
  DeviceMapping,
  EnvFile,
  Environment,
  Healthcheck,
  Hook,
  Logging,
  ModelGrant,
  Mount,
  Port,
  Provider,
  Service,
  ServiceNetwork,
  Throttle,
  TmpfsOptions,
  VolumeOptions,
  WatchRule,
} from './service.ts';
export type { SourceReader } from './source.ts';
