/**
 * compose: compose files in, one canonical {@link Project} out, every problem with file, line and column.
 * Pure: files come through an injected {@link SourceReader}. Refuses to guess: unknown keys, undeclared references and
 * attributes this version does not carry out are errors.
 */
export { absentBinds } from './absent-binds.ts';
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
export { type Analysis, analyse } from './editor/analyse.ts';
export { type Proposal, proposalsAt } from './editor/complete.ts';
export { describeAt } from './editor/describe.ts';
export { definitionsAt, mentionAt, mentionsOf, renamableAt, renameAt } from './editor/navigate.ts';
export { explain } from './explain/explain.ts';
export { type Explanation, type ExplanationStep, formatExplanation } from './explain/explanation.ts';
export type { Extensible, PlainValue } from './extension.ts';
export { FINDING_CODES } from './finding-codes.ts';
export type { FileGrant, Ulimit } from './grants.ts';
export { type DependencyGraph, dependencyGraph } from './graph/dependency-graph.ts';
export { formatDot, formatMermaid, formatText as formatGraph } from './graph/formats.ts';
export { formatSvg } from './graph/svg.ts';
export { type LintResult, lint } from './lint/lint.ts';
export { formatSarif, listCodes } from './lint/sarif.ts';
export { listVariables, type VariableUse } from './list-variables.ts';
export { type LoadResult, loadProject } from './load.ts';
export { loadModel, type Model as PartialModel } from './load-model.ts';
export type { LoadOptions } from './load-options.ts';
export type { OptionalStage } from './load-tree.ts';
export { memoryReader } from './memory-reader.ts';
export { narrowProject } from './narrow.ts';
export type { FileObject, Ipam, IpamPool, Model, Network, Project, Volume } from './project.ts';
export { egressOf, exposedDatabases, type Publishing, publishingOf, publishOnLoopback } from './publishing.ts';
export {
  type GitAddress,
  isCommit,
  isCovered,
  isForgeable,
  isRemoteFile,
  type OciAddress,
  type RemoteAddress,
  withoutPassword,
} from './remote/remote-address.ts';
export type { FetchedFile, RemoteFiles } from './remote/remote-files.ts';
export { renderForHash, renderImages, renderProject, renderVariables } from './render.ts';
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
