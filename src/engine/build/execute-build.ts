import { join } from 'node:path';
import { type Digest, parseImageRef, shortId, TscError } from '../../core/index.ts';
import { type Dockerfile, type Instruction, parseSingleInstruction, placeOf } from '../../dockerfile/index.ts';
import { listDirectory, makeDirectory, newObjectId, timestamp } from '../../host/index.ts';
import {
  EMPTY_RUN_CONFIG,
  type HistoryEntry,
  type Image,
  type ImageRunConfig,
  type LayerDescriptor,
} from '../images/index.ts';
import type { PlannedStage } from './select-stages.ts';
import { applyToConfig, resolveWorkdir } from './stage-config.ts';
import { type BuildTools, belowKey, expandIn, type StageState, type Step } from './stage-state.ts';
import { type CachedStep, stepKey } from './step-cache.ts';
import { planCopy } from './steps/copy.ts';
import { planRun } from './steps/run.ts';
import type { StepWork } from './steps/step-work.ts';
import { planWorkdir } from './steps/workdir.ts';

/** A build ready to run: the stages in order and what ARG before FROM gave. */
export interface BuildPlan {
  readonly file: Dockerfile;
  readonly stages: readonly PlannedStage[];
  readonly globals: ReadonlyMap<string, string>;
  readonly platform: { readonly os: string; readonly architecture: string };
}

/** Runs all stages of a plan; resolves with the state of the last one. */
export async function executeBuild(plan: BuildPlan, tools: BuildTools): Promise<StageState> {
  const total = plan.stages.reduce((sum, { stage }) => sum + 1 + stage.instructions.length, 0);
  let number = 0;
  const announce = (text: string) => tools.onProgress({ kind: 'text', text: `Step ${++number}/${total} : ${text}\n` });
  let last: StageState | undefined;
  for (const planned of plan.stages) {
    announce(planned.stage.text);
    let state = await openStage(planned, plan, tools);
    for (const trigger of state.run.onBuild) {
      tools.onProgress({ kind: 'text', text: `# Executing build trigger: ${trigger}\n` });
      state = await runInstruction(
        parseSingleInstruction(trigger, 'ONBUILD'),
        { ...state, run: { ...state.run, onBuild: [] } },
        planned,
        { plan, tools },
      );
    }
    state = { ...state, run: { ...state.run, onBuild: [] } };
    for (const instruction of planned.stage.instructions) {
      announce(instruction.text);
      state = await runInstruction(instruction, state, planned, { plan, tools });
    }
    tools.finished.set(planned.stage.index, state);
    last = state;
  }
  if (!last) throw new TscError('build/bug', 'a build without stages');
  return last;
}

async function openStage(planned: PlannedStage, plan: BuildPlan, tools: BuildTools): Promise<StageState> {
  refuseForeignPlatform(planned, plan);
  const { base } = planned;
  if (base.kind === 'scratch') {
    return { run: EMPTY_RUN_CONFIG, author: '', layers: [], history: [], args: new Map(), parent: undefined };
  }
  if (base.kind === 'stage') {
    const earlier = tools.finished.get(base.index);
    if (!earlier) throw new TscError('build/bug', `stage ${base.index} was not built`);
    return { ...earlier, args: new Map() };
  }
  const image = await obtainImage(base.ref, planned, tools);
  await tools.images.lowerDirectories(image);
  tools.onProgress({ kind: 'text', text: ` ---> ${shortId(image.id)}\n` });
  return {
    run: image.config.run,
    author: image.config.author,
    layers: image.layers,
    history: image.config.history,
    args: new Map(),
    parent: image.id,
  };
}

function refuseForeignPlatform(planned: PlannedStage, plan: BuildPlan): void {
  const wanted = planned.stage.platform;
  const own = `${plan.platform.os}/${plan.platform.architecture}`;
  if (wanted === undefined || wanted === own || /^\$\{?(BUILD|TARGET)PLATFORM\}?$/.test(wanted)) return;
  throw new TscError(
    'build/unsupported',
    `${placeOf(planned.stage.at)}: FROM --platform=${wanted}: only ${own} is built here`,
  );
}

async function obtainImage(ref: string, planned: PlannedStage, tools: BuildTools): Promise<Image> {
  const present = tools.request.pull ? undefined : await tools.images.find(ref);
  if (present) return present;
  try {
    const parsed = parseImageRef(ref);
    const credentials = tools.request.credentials?.(parsed.registry);
    return await tools.images.pull(parsed, {
      ...(credentials && { credentials }),
      ...(tools.signal && { signal: tools.signal }),
      onProgress: (progress) => tools.onProgress({ kind: 'pull', progress }),
    });
  } catch (cause) {
    throw new TscError(
      'build/not-found',
      `${placeOf(planned.stage.at)}: the base image ${ref} is not here and cannot be pulled`,
      {
        cause,
        hint: 'check its name and the network, or load it with docker load or import',
      },
    );
  }
}

interface Whole {
  readonly plan: BuildPlan;
  readonly tools: BuildTools;
}

async function runInstruction(
  instruction: Instruction,
  state: StageState,
  planned: PlannedStage,
  { plan, tools }: Whole,
): Promise<StageState> {
  tools.signal?.throwIfAborted();
  const step: Step = {
    instruction,
    stageIndex: planned.stage.index,
    state,
    tools,
    async scratch() {
      const directory = join(tools.directory, newObjectId().slice(0, 12));
      await makeDirectory(directory, 0o755);
      return directory;
    },
  };
  if (instruction.kind === 'arg') return declareArgs(step, instruction, plan);
  const config = applyToConfig(instruction, state.run, (word) => expandIn(step, word));
  const author = instruction.kind === 'maintainer' ? instruction.value : state.author;
  if (config) return record({ ...state, run: config, author }, `${instruction.text}`, undefined);
  if (instruction.kind === 'run') return perform(step, state.run, planRun(step, instruction));
  if (instruction.kind === 'copy' || instruction.kind === 'add')
    return perform(step, state.run, await planCopy(step, instruction));
  if (instruction.kind === 'workdir') {
    const path = resolveWorkdir(state.run.workingDir, expandIn(step, instruction.value));
    return perform(step, { ...state.run, workingDir: path }, planWorkdir(step, path));
  }
  throw new TscError('build/bug', `no way to execute ${instruction.kind}`);
}

function declareArgs(step: Step, instruction: Extract<Instruction, { kind: 'arg' }>, plan: BuildPlan): StageState {
  const args = new Map(step.state.args);
  for (const { name, value } of instruction.args) {
    const given = step.tools.request.buildArgs.get(name);
    const found = given ?? (value === undefined ? plan.globals.get(name) : expandIn(step, value));
    if (found !== undefined) args.set(name, found);
  }
  return record({ ...step.state, args }, instruction.text, undefined);
}

/** Takes the result of a step from the cache, or does it and remembers it. */
async function perform(step: Step, run: ImageRunConfig, work: StepWork): Promise<StageState> {
  const { tools, state } = step;
  const key = stepKey({ below: belowKey(state), does: work.does });
  if (!tools.request.noCache && tools.cache.isUnderWay(key)) {
    tools.onProgress({ kind: 'text', text: ' ---> Waiting for another build that runs the same step\n' });
  }
  const layer = await tools.cache.alone(key, async () => {
    tools.signal?.throwIfAborted();
    const known = tools.request.noCache ? undefined : await findUsable(step, key);
    if (known) {
      tools.onProgress({ kind: 'text', text: ' ---> Using cache\n' });
      return known.layer ?? undefined;
    }
    const { upper } = await work.perform();
    const isEmpty = (await listDirectory(upper)).length === 0;
    const made = isEmpty ? undefined : await tools.images.commitLayer(upper);
    await tools.cache.store(key, { layer: made ?? null });
    tools.onProgress({ kind: 'text', text: ` ---> ${made ? shortId(made.diffId) : 'no change of files'}\n` });
    return made;
  });
  return record({ ...state, run }, step.instruction.text, layer);
}

/** A remembered result whose layer is still unpacked. */
async function findUsable(step: Step, key: string): Promise<CachedStep | undefined> {
  const { tools, state } = step;
  const known = await tools.cache.find(key);
  if (!known?.layer) return known;
  const stack = [...state.layers, known.layer].map((layer) => layer.diffId);
  return (await tools.layers.directories(stack)) ? known : undefined;
}

function record(state: StageState, createdBy: string, layer: LayerDescriptor | undefined): StageState {
  const entry: HistoryEntry = {
    created: timestamp(),
    createdBy,
    author: state.author,
    comment: '',
    emptyLayer: layer === undefined,
  };
  return { ...state, history: [...state.history, entry], layers: layer ? [...state.layers, layer] : state.layers };
}

/** Id of the image made of a finished stage. The same build gives the same image: an unchanged stack stays unchanged. */
export async function createResult(state: StageState, plan: BuildPlan, tools: BuildTools): Promise<Digest> {
  const { request, images, cache } = tools;
  const run = { ...state.run, labels: new Map([...state.run.labels, ...request.labels]) };
  const history = state.history.map((entry) => [
    entry.createdBy,
    entry.comment,
    entry.author,
    String(entry.emptyLayer),
  ]);
  const key = stepKey({
    below: belowKey(state),
    does: ['image', JSON.stringify({ ...run, labels: [...run.labels] }), state.author, JSON.stringify(history)],
  });
  const made = await cache.findImage(key);
  const known = made === undefined ? undefined : await images.find(made);
  if (known) {
    for (const tag of request.tags) await images.tag(known.id, tag);
    return known.id;
  }
  const { architecture, os } = plan.platform;
  const image = await images.createImage({
    config: { architecture, os, variant: '', created: timestamp(), author: state.author, run, history: state.history },
    layers: state.layers,
    tags: request.tags,
    ...(state.parent !== undefined && { parent: state.parent }),
  });
  await cache.storeImage(key, image.id);
  return image.id;
}
