import { join, posix } from 'node:path';
import { readArchive } from '../../../archive/index.ts';
import { TscError } from '../../../core/index.ts';
import { dockerfileError, expandText, type Instruction, placeOf } from '../../../dockerfile/index.ts';
import { hashTexts, makeDirectory, writeAtomically } from '../../../host/index.ts';
import type { CopySource, LayerTool } from '../../layers/index.ts';
import { matcher } from '../context.ts';
import { resolveWorkdir } from '../stage-config.ts';
import { expandIn, lookupIn, lowerOf, type Step } from '../stage-state.ts';
import { resolveOwner } from './owner.ts';
import type { StepWork } from './step-work.ts';

type Copy = Extract<Instruction, { kind: 'copy' | 'add' }>;

/** Where content comes from, with what stands for it in the cache key. */
interface Origin {
  readonly source: CopySource;
  readonly key: string;
}

/** COPY and ADD. */
export async function planCopy(step: Step, copy: Copy): Promise<StepWork> {
  const destination = destinationOf(step, copy);
  const mode = copy.chmod === undefined ? undefined : parseMode(expandIn(step, copy.chmod), copy);
  const owner = copy.chown === undefined ? undefined : await resolveOwner(expandIn(step, copy.chown), step, copy.at);
  const sources = copy.sources.map((source) => expandIn(step, source));
  const origins =
    copy.from === undefined ? await fromContext(step, copy, sources) : [await fromElsewhere(step, copy, sources)];
  const documents = await fromDocuments(step, copy);
  const all = [...origins, ...documents];
  const owned = owner ? `${owner.uid}:${owner.gid}` : '';
  return {
    does: [copy.kind, destination, mode?.toString(8) ?? '', owned, ...all.map((origin) => origin.key)],
    async perform() {
      const directory = await step.scratch();
      const upper = join(directory, 'upper');
      const work = join(directory, 'work');
      await makeDirectory(upper, 0o755);
      await makeDirectory(work);
      const lower = await lowerOf(step.state, step.tools);
      for (const origin of all) {
        await step.tools.layers.tool.copy({
          lower,
          upper,
          work,
          source: origin.source,
          destination,
          ...(owner && { owner }),
          ...(mode !== undefined && { mode }),
          ...(copy.kind === 'add' && { extractArchives: true }),
          ...(step.tools.signal && { signal: step.tools.signal }),
        });
      }
      return { upper };
    },
  };
}

function destinationOf(step: Step, copy: Copy): string {
  const text = expandIn(step, copy.destination);
  if (text === '') throw dockerfileError(copy.at, `${copy.kind.toUpperCase()} has an empty destination`);
  const absolute = resolveWorkdir(step.state.run.workingDir, text);
  const isDirectory = text.endsWith('/') || text === '.' || text.endsWith('/.');
  return isDirectory && absolute !== '/' ? `${absolute}/` : absolute;
}

function parseMode(text: string, copy: Copy): number {
  if (!/^0?[0-7]{3,4}$/.test(text))
    throw dockerfileError(copy.at, `invalid --chmod ${JSON.stringify(text)}`, 'write octal digits, for example 755');
  return Number.parseInt(text, 8);
}

async function fromContext(step: Step, copy: Copy, sources: readonly string[]): Promise<Origin[]> {
  const { context } = step.tools;
  if (sources.length === 0) return [];
  const remote = sources.find((source) => /^(https?|git|ssh):\/\/|^git@/.test(source));
  if (remote !== undefined && copy.kind === 'add') {
    throw new TscError(
      'dockerfile/unsupported',
      `${placeOf(copy.at)}: ADD of the remote source ${remote} is not supported`,
      {
        hint: 'fetch it in a RUN step, or put it into the build context',
      },
    );
  }
  const paths = sources.flatMap((source) => withPlace(copy, () => context.expand(source)));
  requireDirectoryFor(copy, step, paths);
  return [
    {
      source: { kind: 'directory', root: context.root, paths },
      key: `${JSON.stringify(paths)} ${await context.digest(paths)}`,
    },
  ];
}

function requireDirectoryFor(copy: Copy, step: Step, paths: readonly string[]): void {
  if (paths.length > 1 && !destinationOf(step, copy).endsWith('/') && destinationOf(step, copy) !== '/') {
    throw dockerfileError(
      copy.at,
      `${copy.kind.toUpperCase()} with several sources needs a destination that ends with /`,
    );
  }
}

function withPlace<T>(copy: Copy, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof TscError)) throw cause;
    throw new TscError(cause.code, `${placeOf(copy.at)}: ${copy.kind.toUpperCase()}: ${cause.message}`, {
      cause,
      ...(cause.hint !== undefined && { hint: cause.hint }),
    });
  }
}

async function fromElsewhere(step: Step, copy: Copy, sources: readonly string[]): Promise<Origin> {
  const { tools } = step;
  const name = expandIn(step, copy.from ?? '');
  const index = tools.stageOf(name, step.stageIndex);
  const state = index === undefined ? undefined : tools.finished.get(index);
  if (index !== undefined && !state) throw dockerfileError(copy.at, `the stage ${name} is not built before this one`);
  const lower = state ? await lowerOf(state, tools) : await lowerOfImage(step, copy, name);
  const identity = state ? state.layers.map((layer) => layer.diffId) : lower;
  const expanded: string[] = [];
  for (const source of sources)
    expanded.push(...(await expandInLayers({ source, lower, tool: tools.layers.tool, copy })));
  requireDirectoryFor(copy, step, expanded);
  return { source: { kind: 'layers', lower, paths: expanded }, key: hashTexts([...expanded, 'in', ...identity]) };
}

async function lowerOfImage(step: Step, copy: Copy, name: string): Promise<string[]> {
  const image = await step.tools.images.find(name);
  if (!image) {
    throw new TscError(
      'build/not-found',
      `${placeOf(copy.at)}: --from=${name} is neither a stage before this one nor an image here`,
      {
        hint: `pull the image first, or name a stage with FROM … AS ${name}`,
      },
    );
  }
  return step.tools.images.lowerDirectories(image);
}

interface LayerPattern {
  readonly source: string;
  readonly lower: readonly string[];
  readonly tool: LayerTool;
  readonly copy: Copy;
}

/** Wildcards in another stage: the names of the folder are read from its merged view. Only the last part may be a pattern. */
async function expandInLayers({ source, lower, tool, copy }: LayerPattern): Promise<string[]> {
  const clean = posix.resolve('/', source);
  const folder = posix.dirname(clean);
  if (!/[*?[]/.test(clean)) return [clean.slice(1) || '.'];
  if (/[*?[]/.test(folder)) {
    throw new TscError(
      'dockerfile/unsupported',
      `${placeOf(copy.at)}: wildcards in a folder name of --from are not supported: ${source}`,
      {
        hint: 'use the wildcard in the last part of the path only',
      },
    );
  }
  const matches = matcher(posix.basename(clean));
  const prefix = `${posix.basename(folder) || '.'}/`;
  const names = new Set<string>();
  for await (const entry of readArchive(tool.archive({ tree: { kind: 'overlay', lower }, path: folder }))) {
    const [name = ''] = entry.name
      .replace(/^\.\//, '')
      .replace(prefix === './' ? '' : prefix, '')
      .split('/');
    if (name !== '' && matches(name)) names.add(posix.join(folder, name).slice(1));
  }
  if (names.size === 0)
    throw new TscError('build/not-found', `${placeOf(copy.at)}: nothing matches ${source} in ${copy.from}`);
  return [...names].sort();
}

/** Here-documents as files. */
async function fromDocuments(step: Step, copy: Copy): Promise<Origin[]> {
  if (copy.heredocs.length === 0) return [];
  const root = await step.scratch();
  const contents = copy.heredocs.map((document) =>
    document.expand ? expandText(document.content, lookupIn(step.state), step.tools.escapeChar) : document.content,
  );
  for (const [index, document] of copy.heredocs.entries()) {
    await writeAtomically(join(root, document.name), contents[index] ?? '', { mode: 0o644 });
  }
  const paths = copy.heredocs.map((document) => document.name);
  return [{ source: { kind: 'directory', root, paths }, key: hashTexts([...paths, ...contents]) }];
}
