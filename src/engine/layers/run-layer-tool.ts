import { PassThrough, type Readable } from 'node:stream';
import { type ErrorKind, KINDS, parseDigest, TscError } from '../../core/index.ts';
import { spawnProgram } from '../../host/index.ts';
import type {
  ApplyReport,
  ContainerTree,
  CopyReport,
  CopyRequest,
  LayerTool,
  LayerToolOptions,
  TreeEntry,
} from './layer-tool.ts';

const OUTPUT_LIMIT = 1 << 20;

/** The native helper at a path. */
export function openLayerTool({ program }: LayerToolOptions): LayerTool {
  return {
    apply: async (root, archive, options = {}) => {
      const args = ['apply', '--root', root];
      if (options.overlay) args.push('--overlay');
      if (options.stripOwner) args.push('--strip-owner');
      if (options.pending !== undefined) args.push('--pending', options.pending);
      return decodeApplyReport(await collect(program, args, { input: archive, signal: options.signal }));
    },
    fixUp: async (root, lower, pending) => {
      await collect(program, ['fixup', '--root', root, '--pending', pending, ...each('--lower', lower)], {});
    },
    sync: async (root) => {
      await collect(program, ['sync', '--root', root], {});
    },
    diff: (upper, options = {}) => stream(program, ['diff', '--upper', upper], options.signal),
    pack: (root, options = {}) =>
      stream(program, ['pack', '--root', root, ...each('--path', options.paths ?? [])], options.signal),
    copy: async (request) =>
      decodeCopyReport(await collect(program, copyArguments(request), { signal: request.signal })),
    archive: ({ tree, path, oneFileSystem, signal }) =>
      stream(
        program,
        ['archive', ...treeArguments(tree), '--path', path, ...(oneFileSystem ? ['--one-file-system'] : [])],
        signal,
      ),
    extract: async (request, archive) => {
      const { uid, gid } = request.owner ?? { uid: 0, gid: 0 };
      const args = ['extract', ...treeArguments(request.tree), '--path', request.path];
      if (!request.keepOwner) args.push('--owner', `${uid}:${gid}`);
      if (request.noOverwriteDirNonDir) args.push('--no-overwrite-dir-non-dir');
      return decodeApplyReport(await collect(program, args, { input: archive, signal: request.signal }));
    },
    stat: async ({ tree, path, signal }) =>
      decodeTreeEntry(await collect(program, ['stat', ...treeArguments(tree), '--path', path], { signal })),
  };
}

function each(option: string, values: readonly string[]): string[] {
  return values.flatMap((value) => [option, value]);
}

function treeArguments(tree: ContainerTree): string[] {
  switch (tree.kind) {
    case 'process':
      return ['--pid', `${tree.process.pid}:${tree.process.startTime}`];
    case 'directory':
      return ['--root', tree.path];
    case 'overlay':
      return [
        ...each('--lower', tree.lower),
        ...(tree.upper === undefined ? [] : ['--upper', tree.upper]),
        // Without layers below, the upper directory is the whole tree.
        ...(tree.work === undefined || tree.lower.length === 0 ? [] : ['--work', tree.work]),
        ...(tree.mounts ?? []).flatMap((mount) => [
          '--mount',
          `${mount.readOnly ? 'ro' : 'rw'}:${mount.source}:${mount.target}`,
        ]),
      ];
  }
}

function copyArguments(request: CopyRequest): string[] {
  const { source, owner, mode } = request;
  const args = ['copy', ...each('--lower', request.lower), '--upper', request.upper, '--work', request.work];
  if (source.kind === 'directory') args.push('--source', source.root);
  else args.push(...each('--from-lower', source.lower));
  args.push(...each('--path', source.paths), '--destination', request.destination);
  if (owner) args.push('--owner', `${owner.uid}:${owner.gid}`);
  if (mode !== undefined) args.push('--mode', mode.toString(8));
  if (request.extractArchives) args.push('--extract');
  if (request.parents) args.push('--parents');
  return args;
}

interface RunInput {
  readonly input?: Readable;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a verb that prints one line. A failure of the input is the failure of the call. */
function collect(program: string, args: readonly string[], { input, signal }: RunInput): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawnProgram(program, args, {
    stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    ...(signal && { signal, killSignal: 'SIGKILL' }),
  });
  const stdout = keep(child.stdout);
  const stderr = keep(child.stderr);
  let inputFailure: unknown;
  if (input && child.stdin) {
    // The helper may refuse the archive before it has read all of it.
    child.stdin.on('error', () => input.destroy());
    input.on('error', (error) => {
      inputFailure ??= error;
      child.kill('SIGKILL');
    });
    if (input.errored) {
      inputFailure = input.errored;
      child.kill('SIGKILL');
    }
    input.pipe(child.stdin);
  }
  child.on('error', (error) => reject(startFailure(program, error, signal)));
  child.on('close', (status) => {
    input?.destroy();
    if (inputFailure !== undefined) reject(inputFailure);
    else if (status === 0) resolve(stdout());
    else reject(verbFailure(args[0] ?? '', status, stderr()));
  });
  return promise;
}

/** Runs a verb whose output is an archive. */
function stream(program: string, args: readonly string[], signal: AbortSignal | undefined): Readable {
  const out = new PassThrough({ highWaterMark: 256 << 10 });
  const child = spawnProgram(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal, killSignal: 'SIGKILL' }),
  });
  const stderr = keep(child.stderr);
  child.stdout?.pipe(out, { end: false });
  child.on('error', (error) => out.destroy(startFailure(program, error, signal)));
  child.on('close', (status) => {
    if (status === 0) out.end();
    else out.destroy(verbFailure(args[0] ?? '', status, stderr()));
  });
  out.on('close', () => child.kill('SIGKILL'));
  return out;
}

function keep(source: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  source?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= OUTPUT_LIMIT) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

function startFailure(program: string, error: Error, signal: AbortSignal | undefined): TscError {
  return signal?.aborted
    ? new TscError('layer/cancelled', 'the operation was cancelled', { cause: error })
    : new TscError('layer/failed', `cannot run ${program}`, { cause: error, hint: 'build it: npm run build:native' });
}

function verbFailure(verb: string, status: number | null, stderr: string): TscError {
  const line = stderr.trim().split('\n').at(-1) ?? '';
  try {
    const { error } = JSON.parse(line) as { error: { code: unknown; message: unknown } };
    const kind = KINDS.find((item) => item === error.code) ?? ('failed' satisfies ErrorKind);
    return new TscError(`layer/${kind}`, String(error.message));
  } catch {
    const end = status === null ? 'was killed' : `ended with status ${status}`;
    return new TscError(
      'layer/failed',
      `tscompose-layer ${verb} ${end}${line === '' ? '' : `: ${line.slice(0, 500)}`}`,
    );
  }
}

function decodeObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below.
  }
  throw new TscError('layer/bug', `tscompose-layer printed ${JSON.stringify(text.slice(0, 200))}`);
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function decodeApplyReport(text: string): ApplyReport {
  const report = decodeObject(text);
  return {
    diffId: parseDigest(String(report['diff_id'])),
    bytes: numberOf(report['bytes']),
    entries: numberOf(report['entries']),
    pending: numberOf(report['pending']),
  };
}

function decodeCopyReport(text: string): CopyReport {
  const report = decodeObject(text);
  return { entries: numberOf(report['entries']), bytes: numberOf(report['bytes']) };
}

function decodeTreeEntry(text: string): TreeEntry {
  const entry = decodeObject(text);
  return {
    name: String(entry['name']),
    size: numberOf(entry['size']),
    mode: numberOf(entry['mode']),
    mtime: String(entry['mtime']),
    linkTarget: String(entry['link_target']),
  };
}
