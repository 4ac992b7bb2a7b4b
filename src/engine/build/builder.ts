import { join } from 'node:path';
import { type Digest, familiarImageRef, parseImageRef, shortId, TscError, withDefaultTag } from '../../core/index.ts';
import { type Dockerfile, expandWord, parseDockerfile } from '../../dockerfile/index.ts';
import { makeDirectory, newObjectId, pathExists, removeTree, writeAtomically } from '../../host/index.ts';
import type { RunStep } from '../containers/index.ts';
import type { ImageStore } from '../images/index.ts';
import type { LayerStore } from '../layers/index.ts';
import type { BuildOptions, BuildRequest, BuildService } from './build.ts';
import { BuildContext } from './context.ts';
import { type BuildPlan, createResult, executeBuild } from './execute-build.ts';
import { findStage, selectStages } from './select-stages.ts';
import type { BuildTools } from './stage-state.ts';
import { StepCache } from './step-cache.ts';

export interface BuilderOptions {
  /** `<data>/build`, on the file system of the layers; created when absent, leftovers of killed builds are removed. */
  readonly directory: string;
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly runStep: RunStep;
  /** As images name it: `amd64`, `arm64`. */
  readonly architecture: string;
}

/** Opens the builder of one engine. */
export async function openBuilder(options: BuilderOptions): Promise<BuildService> {
  const cache = new StepCache(join(options.directory, 'cache'));
  const work = join(options.directory, 'work');
  // Start-up is recovery: nothing of a build that was killed is of use.
  await removeTree(work);
  await makeDirectory(work);
  const mountPoints = await prepareMountPoints(join(options.directory, 'mount-points'));
  return {
    async build(request, buildOptions) {
      const directory = join(work, newObjectId().slice(0, 12));
      await makeDirectory(directory);
      try {
        return await buildOnce({ options, request, buildOptions, cache, directory, mountPoints });
      } catch (error) {
        if (buildOptions.signal?.aborted)
          throw new TscError('build/cancelled', 'the build was cancelled', { cause: error });
        throw error;
      } finally {
        await removeTree(directory);
      }
    },
    pruneCache: () => cache.clear(),
  };
}

interface OneBuild {
  readonly options: BuilderOptions;
  readonly request: BuildRequest;
  readonly buildOptions: BuildOptions;
  readonly cache: StepCache;
  readonly directory: string;
  readonly mountPoints: string;
}

async function buildOnce(one: OneBuild): Promise<Digest> {
  const { options, request, directory } = one;
  const { onProgress, signal } = one.buildOptions;
  const platform = { os: 'linux', architecture: options.architecture };
  refusePlatform(request, platform);
  // A malformed name fails before the work, not after it.
  for (const tag of request.tags) parseImageRef(tag);
  const context = await BuildContext.unpack(join(directory, 'context'), request.context, options.layers.tool, signal);
  const path = request.dockerfile || 'Dockerfile';
  const file = parseDockerfile(await context.readDockerfile(path), path);
  for (const warning of file.warnings) onProgress({ kind: 'text', text: `[Warning] ${warning}\n` });
  const globals = globalValues(file, request, platform);
  const stages = selectStages({
    file,
    globals: (name) => globals.get(name),
    ...(request.target !== undefined && { target: request.target }),
  });
  const plan: BuildPlan = { file, stages, globals, platform };
  const tools: BuildTools = {
    images: options.images,
    layers: options.layers,
    runStep: options.runStep,
    cache: one.cache,
    directory,
    mountPoints: one.mountPoints,
    context,
    request,
    escapeChar: file.escapeChar,
    onProgress,
    signal,
    finished: new Map(),
    stageOf: (text, before) => findStage(file.stages, text, before),
  };
  warnOfUnusedArgs(file, request, onProgress);
  const id = await createResult(await executeBuild(plan, tools), plan, tools);
  onProgress({ kind: 'result', id });
  onProgress({ kind: 'text', text: `Successfully built ${shortId(id)}\n` });
  for (const tag of request.tags) {
    onProgress({ kind: 'text', text: `Successfully tagged ${familiarImageRef(withDefaultTag(parseImageRef(tag)))}\n` });
  }
  return id;
}

function refusePlatform(request: BuildRequest, own: { os: string; architecture: string }): void {
  const text = `${own.os}/${own.architecture}`;
  if (!request.platform || request.platform === text || request.platform === own.os) return;
  throw new TscError('build/unsupported', `cannot build for ${request.platform}: only ${text} is built here`);
}

/** Arguments before FROM, build arguments applied, and the platform arguments every file may declare. */
function globalValues(
  file: Dockerfile,
  request: BuildRequest,
  platform: { os: string; architecture: string },
): Map<string, string> {
  const values = new Map<string, string>();
  for (const side of ['BUILD', 'TARGET']) {
    values.set(`${side}PLATFORM`, `${platform.os}/${platform.architecture}`);
    values.set(`${side}OS`, platform.os);
    values.set(`${side}ARCH`, platform.architecture);
    values.set(`${side}VARIANT`, '');
  }
  for (const { name, value } of file.globalArgs) {
    const found =
      request.buildArgs.get(name) ??
      (value === undefined ? undefined : expandWord(value, (word) => values.get(word), file.escapeChar));
    if (found !== undefined) values.set(name, found);
  }
  return values;
}

function warnOfUnusedArgs(file: Dockerfile, request: BuildRequest, onProgress: BuildOptions['onProgress']): void {
  const declared = new Set([
    ...file.globalArgs.map((arg) => arg.name),
    ...file.stages.flatMap((stage) =>
      stage.instructions.flatMap((item) => (item.kind === 'arg' ? item.args.map((arg) => arg.name) : [])),
    ),
  ]);
  const unused = [...request.buildArgs.keys()].filter((name) => !declared.has(name) && !/_proxy$/i.test(name));
  if (unused.length > 0)
    onProgress({ kind: 'text', text: `[Warning] One or more build-args [${unused.join(' ')}] were not consumed\n` });
}

/** A layer of empty mount points: the runtime would otherwise create them in the step's own layer. */
async function prepareMountPoints(directory: string): Promise<string> {
  for (const path of ['dev', 'proc', 'sys', 'etc']) await makeDirectory(join(directory, path), 0o755);
  for (const name of ['hosts', 'hostname', 'resolv.conf']) {
    const path = join(directory, 'etc', name);
    if (!(await pathExists(path))) await writeAtomically(path, '', { mode: 0o644 });
  }
  return directory;
}
