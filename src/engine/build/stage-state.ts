import type { Digest } from '../../core/index.ts';
import { expandWord, type Instruction } from '../../dockerfile/index.ts';
import type { RunStep } from '../containers/index.ts';
import type { HistoryEntry, ImageRunConfig, ImageStore, LayerDescriptor } from '../images/index.ts';
import type { LayerStore } from '../layers/index.ts';
import type { BuildProgress, BuildRequest } from './build.ts';
import type { BuildContext } from './context.ts';
import { environmentValue } from './stage-config.ts';
import type { StepCache } from './step-cache.ts';

/** What a stage has become so far; replaced, never changed, by each step. */
export interface StageState {
  readonly run: ImageRunConfig;
  readonly author: string;
  /** Bottom first. */
  readonly layers: readonly LayerDescriptor[];
  readonly history: readonly HistoryEntry[];
  /** ARG values in scope. */
  readonly args: ReadonlyMap<string, string>;
  /** Image the stage stands on. */
  readonly parent: Digest | undefined;
}

/** What the steps of one build share. */
export interface BuildTools {
  readonly images: ImageStore;
  readonly layers: LayerStore;
  readonly runStep: RunStep;
  readonly cache: StepCache;
  /** Directory of this build alone, on the layers' file system; removed at its end. */
  readonly directory: string;
  /** Empty mount points, put above the image while RUN works so that none of them ends in a layer. */
  readonly mountPoints: string;
  readonly context: BuildContext;
  readonly request: BuildRequest;
  readonly escapeChar: string;
  readonly onProgress: (event: BuildProgress) => void;
  readonly signal: AbortSignal | undefined;
  /** Finished stages by index, for COPY --from. */
  readonly finished: Map<number, StageState>;
  /** Index of the stage that a `--from` means, or undefined for an image. */
  readonly stageOf: (text: string, before: number) => number | undefined;
}

/** One instruction at work. */
export interface Step {
  readonly instruction: Instruction;
  readonly stageIndex: number;
  readonly state: StageState;
  readonly tools: BuildTools;
  /** A fresh empty directory for this step. */
  readonly scratch: () => Promise<string>;
}

/** Variables an instruction sees: the environment of the image wins over ARG. */
export function lookupIn(state: StageState): (name: string) => string | undefined {
  return (name) => environmentValue(state.run.env, name) ?? state.args.get(name);
}

/** Expands one word of a step's instruction. */
export function expandIn(step: Step, word: string): string {
  return expandWord(word, lookupIn(step.state), step.tools.escapeChar);
}

/** Directories of a stage's layers, top first. */
export async function lowerOf(state: StageState, tools: BuildTools): Promise<readonly string[]> {
  const found = await tools.layers.directories(state.layers.map((layer) => layer.diffId));
  // Every layer was unpacked by this build or found unpacked when the cache was asked.
  if (!found) throw new Error('a layer of the stage is gone');
  return found;
}

/** Keys of what a step stands on. */
export function belowKey(state: StageState): readonly string[] {
  return state.layers.map((layer) => layer.diffId);
}
