/**
 * stack: the manager's core – observe what an engine holds of a project, plan what has to change (pure, printable), execute
 * the plan along its graph, wait by events. Refuses to know how an engine works inside, and prints nothing.
 */
/** Patterns of ignore files, for the watch rules of the command line. */
export { compileIgnorePatterns, type IgnoreMatcher, parseIgnoreFile } from '../archive/index.ts';
export { type BringUpOptions, type BringUpResult, bringUp } from './bring-up.ts';
export { type BuildOptions, buildService } from './build-service.ts';
export { checkPorts } from './check-ports.ts';
export { compareDefinitions, defineContainer, hashService } from './definition.ts';
export { type ExecuteOptions, type ExecuteResult, executePlan, type OperationState, PlanFailure } from './execute.ts';
export {
  type FollowOptions,
  followProject,
  LineSplitter,
  type LogFollower,
  type LogLine,
  type LogSource,
  readLogs,
} from './follow-logs.ts';
export { forEachLimited } from './for-each-limited.ts';
export { LABEL } from './labels.ts';
export { observe } from './observe.ts';
export { isUp, type ObservedContainer, type ObservedState, replicasIn, toObservedContainer } from './observed-state.ts';
export { formatOperation, formatPlan, type Operation, type Plan } from './plan.ts';
export { type DownOptions, planDown, planStop } from './plan-down.ts';
export { planStart } from './plan-start.ts';
export { findOrphans, planUp, selectServices, type UpInput, type UpOptions } from './plan-up.ts';
export {
  type ImageOptions,
  type ImageProgress,
  lookUpImages,
  planImages,
  prepareImages,
} from './prepare-images.ts';
export { lockProject } from './project-lock.ts';
export { refuseForeignEngine } from './refuse-foreign-engine.ts';
export { type OneOffOptions, toOneOffSpec } from './run-one-off.ts';
export { describeExit } from './service-failure.ts';
export { imageOf, replicaName, replicasOf, toContainerSpec } from './service-spec.ts';
export { type Death, ServiceWatch } from './service-watch.ts';
export { type SyncPath, syncFiles, targetPath } from './sync-files.ts';
