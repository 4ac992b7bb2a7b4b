/**
 * engine/build: a Dockerfile and a context become an image, step by step, each step keyed by the content it depends on.
 * Refuses to run a remote frontend, to resolve a path of a context in this process without confinement, and to know
 * the wire format of progress.
 */
export { applyChanges } from './apply-changes.ts';
export type { BuildOptions, BuildProgress, BuildRequest, BuildService } from './build.ts';
export { type BuilderOptions, openBuilder } from './builder.ts';
