import { TscError } from '../../core/index.ts';
import { type Dockerfile, dockerfileError, expandWord, type Lookup, type Stage } from '../../dockerfile/index.ts';

/** A stage with its base resolved to an earlier stage, an image, or nothing. */
export interface PlannedStage {
  readonly stage: Stage;
  readonly base:
    | { readonly kind: 'scratch' }
    | { readonly kind: 'stage'; readonly index: number }
    | { readonly kind: 'image'; readonly ref: string };
}

export interface SelectInput {
  readonly file: Dockerfile;
  readonly target?: string;
  /** Values of ARG before FROM, build arguments applied. */
  readonly globals: Lookup;
}

/**
 * The stages that the target needs, in order; others are not built. Pure. Throws `dockerfile/invalid` for an unknown target
 * or a malformed base.
 */
export function selectStages(input: SelectInput): PlannedStage[] {
  const { stages, escapeChar } = input.file;
  const goal = findTarget(stages, input.target);
  const planned = stages.map((stage) => ({
    stage,
    base: resolveBase(stage, stages, (word) => expandWord(word, input.globals, escapeChar)),
  }));
  const needed = new Set<number>();
  const visit = (index: number) => {
    const current = planned[index];
    if (!current || needed.has(index)) return;
    needed.add(index);
    if (current.base.kind === 'stage') visit(current.base.index);
    for (const instruction of current.stage.instructions) {
      if (instruction.kind !== 'copy' || instruction.from === undefined) continue;
      const source = findStage(stages, expandWord(instruction.from, input.globals, escapeChar), index);
      if (source !== undefined) visit(source);
    }
  };
  visit(goal);
  return planned.filter((item) => needed.has(item.stage.index));
}

function findTarget(stages: readonly Stage[], target: string | undefined): number {
  if (target === undefined || target === '') return stages.length - 1;
  const found = findStage(stages, target, stages.length);
  if (found !== undefined) return found;
  const names = stages.flatMap((stage) => stage.name ?? []);
  throw new TscError('build/invalid', `the target stage ${JSON.stringify(target)} does not exist`, {
    hint: names.length > 0 ? `stages: ${names.join(', ')}` : 'name a stage with FROM image AS name',
  });
}

/** Index of the stage that a name or number means, among the stages before `before`. */
export function findStage(stages: readonly Stage[], text: string, before: number): number | undefined {
  const byName = stages.find((stage) => stage.index < before && stage.name === text.toLowerCase());
  if (byName) return byName.index;
  return /^\d+$/.test(text) && Number(text) < before ? Number(text) : undefined;
}

function resolveBase(stage: Stage, stages: readonly Stage[], expand: (word: string) => string): PlannedStage['base'] {
  const name = expand(stage.base);
  if (name === '') {
    throw dockerfileError(
      stage.at,
      `the base image ${JSON.stringify(stage.base)} is empty`,
      'give the ARG a default or pass --build-arg',
    );
  }
  const earlier = stages.find((other) => other.index < stage.index && other.name === name.toLowerCase());
  if (earlier) return { kind: 'stage', index: earlier.index };
  return name === 'scratch' ? { kind: 'scratch' } : { kind: 'image', ref: name };
}
