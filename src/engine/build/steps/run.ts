import { join } from 'node:path';
import { TscError } from '../../../core/index.ts';
import { type Heredoc, type Instruction, placeOf } from '../../../dockerfile/index.ts';
import { makeDirectory, newObjectId } from '../../../host/index.ts';
import { commandArgs } from '../stage-config.ts';
import { lowerOf, type StageState, type Step } from '../stage-state.ts';
import type { StepWork } from './step-work.ts';

type Run = Extract<Instruction, { kind: 'run' }>;

/** Arguments a build may give without an ARG that declares them; they never count for the cache. */
const PREDEFINED = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

/** RUN: a process in a container on top of the stage; what it writes is the layer. */
export function planRun(step: Step, run: Run): StepWork {
  const args = runArgs(run, step.state);
  const declared = [...step.state.args].map(([name, value]) => `${name}=${value}`);
  const network =
    run.network === 'none' || run.network === 'host' ? run.network : (step.tools.request.network ?? 'default');
  return {
    does: [
      'run',
      JSON.stringify(args),
      ...step.state.run.env,
      'args',
      ...declared,
      step.state.run.user,
      step.state.run.workingDir,
      network,
    ],
    async perform() {
      const directory = await step.scratch();
      const upper = join(directory, 'upper');
      const work = join(directory, 'work');
      await makeDirectory(upper, 0o755);
      await makeDirectory(work);
      const code = await runInContainer(step, { args, network, upper, work });
      if (code !== 0) throw failure(run, args, code);
      return { upper };
    },
  };
}

function runArgs(run: Run, state: StageState): readonly string[] {
  const [document] = run.heredocs;
  if (!document || run.command.form === 'exec') return commandArgs(run.command, state.run);
  const isScript = run.heredocs.length === 1 && /^<<-?\s*(["']?)[\w.-]+\1$/.test(run.command.text);
  if (isScript && document.content.startsWith('#!')) {
    throw new TscError(
      'dockerfile/unsupported',
      `${placeOf(run.at)}: a here-document with its own interpreter (#!) is not supported`,
      {
        hint: 'call the interpreter: RUN python3 <<EOF',
      },
    );
  }
  const text = isScript ? document.content : [run.command.text, ...run.heredocs.map(closeDocument)].join('\n');
  return commandArgs({ form: 'shell', text }, state.run);
}

/** The document as the shell reads it behind the command line. */
function closeDocument(document: Heredoc): string {
  return `${document.content}${document.name}`;
}

async function runInContainer(
  step: Step,
  place: {
    readonly args: readonly string[];
    readonly network: 'default' | 'none' | 'host';
    readonly upper: string;
    readonly work: string;
  },
): Promise<number> {
  const { state, tools } = step;
  const { request } = tools;
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const proxies = PREDEFINED.flatMap((name) =>
    request.buildArgs.has(name) ? [`${name}=${request.buildArgs.get(name)}`] : [],
  );
  return tools.runStep({
    id: newObjectId(),
    lower: [tools.mountPoints, ...(await lowerOf(state, tools))],
    upper: place.upper,
    work: place.work,
    args: place.args,
    // The environment of the image wins over an ARG of the same name.
    env: [...proxies, ...[...state.args].map(([name, value]) => `${name}=${value}`), ...state.run.env],
    user: state.run.user,
    cwd: state.run.workingDir || '/',
    network: place.network,
    ...(request.extraHosts && { extraHosts: request.extraHosts }),
    ...(request.shmSizeBytes !== undefined && { shmSizeBytes: request.shmSizeBytes }),
    onOutput: (stream, chunk) =>
      tools.onProgress({ kind: 'text', text: decoders[stream].decode(chunk, { stream: true }) }),
    ...(tools.signal && { signal: tools.signal }),
  });
}

function failure(run: Run, args: readonly string[], code: number): TscError {
  const shown = run.command.form === 'shell' ? run.command.text : args.join(' ');
  return new TscError(
    'build/failed',
    `${placeOf(run.at)}: the command '${shown.slice(0, 300)}' returned a non-zero code: ${code}`,
    {
      hint: code === 127 ? 'a program was not found in the image' : 'the output above says why',
    },
  );
}
