import type { ImageProgress } from '../../stack/index.ts';
import type { Output } from '../output.ts';
import { describeOperation } from './operation-words.ts';
import { printable } from './printable.ts';
import type { ProgressView } from './progress-view.ts';

export type { ProgressView } from './progress-view.ts';

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'quiet' | 'json';

/** The view for `--progress`: a live list on a terminal, lines otherwise. */
export async function createProgressView(mode: ProgressMode, output: Output): Promise<ProgressView> {
  if (mode === 'quiet') return { plan: nothing, operation: nothing, image: nothing, finish: async () => undefined };
  if (mode === 'json') return jsonView(output);
  if (mode === 'tty' || (mode === 'auto' && output.isErrorTerminal)) {
    const { terminalView } = await import('./progress-terminal.ts');
    return terminalView(output);
  }
  return plainView(output);
}

function plainView(output: Output): ProgressView {
  const buffers = new Map<string, string>();
  // Several services may await the same thing.
  const awaited = new Set<string>();
  return {
    plan: nothing,
    operation: (operation, state, note) => {
      const words = describeOperation(operation, state);
      const said = operation.kind === 'wait' && words !== undefined && awaited.has(words);
      if (words && state !== 'failed' && !said) output.note(` ${words}`);
      if (operation.kind === 'wait' && words) awaited.add(words);
      if (state === 'warned' && note) output.note(` warning: ${printable(note)}`);
    },
    image: (progress) => plainImage(output, buffers, progress),
    finish: async () => undefined,
  };
}

function plainImage(output: Output, buffers: Map<string, string>, progress: ImageProgress): void {
  const verb = progress.action === 'build' ? ['Building', 'Built'] : ['Pulling', 'Pulled'];
  if (progress.state === 'start') output.note(` Image ${progress.image}  ${verb[0]}`);
  if (progress.state === 'done') output.note(` Image ${progress.image}  ${verb[1]}`);
  const text = progress.message?.text;
  if (text === undefined) return;
  // Output comes in pieces; only whole lines are printed, so that parallel builds do not tear them.
  const lines = ((buffers.get(progress.service) ?? '') + text).split('\n');
  buffers.set(progress.service, lines.pop() ?? '');
  for (const line of lines) if (line.trim()) output.note(`${output.style('dim', `${progress.service} |`)} ${line}`);
}

function jsonView(output: Output): ProgressView {
  return {
    plan: nothing,
    operation: (operation, state, note) =>
      output.note(
        JSON.stringify({
          id: operation.name,
          kind: operation.kind,
          state,
          cause: operation.cause,
          ...(note && { note }),
        }),
      ),
    image: ({ action, image, service, state, message }) =>
      output.note(JSON.stringify({ id: image, kind: `${action}-image`, service, state, ...message })),
    finish: async () => undefined,
  };
}

function nothing(): void {}
