import { Listr } from 'listr2';
import type { ImageProgress, Operation, OperationState, Plan } from '../../stack/index.ts';
import type { Output } from '../output.ts';
import { describeBegin, describeOperation, subjectOf } from './operation-words.ts';
import { printable } from './printable.ts';
import type { ProgressView } from './progress-view.ts';

/** One line of the live list: it is done when all its operations are. */
interface Line {
  readonly title: string;
  readonly settled: PromiseWithResolvers<void>;
  open: number;
  show: (title: string, detail?: string) => void;
  pending?: string;
}

/** A live list: one line per network, volume, container and image. */
export function terminalView(output: Output): ProgressView {
  const lines = new Map<string, Line>();
  const lists: Promise<unknown>[] = [];
  return {
    plan: (plan) => {
      const fresh = linesOf(plan, lines);
      if (fresh.length > 0) lists.push(show(fresh));
    },
    operation: (operation, state, note) => {
      const line = lines.get(subjectOf(operation));
      if (line) advance(line, operation, state);
      if (state === 'warned' && note) output.note(` warning: ${printable(note)}`);
    },
    image: (progress) => {
      const key = `Image ${progress.image}`;
      const known = lines.get(key);
      const line = known ?? makeLine(key, 1);
      lines.set(key, line);
      if (!known) lists.push(show([line]));
      advanceImage(line, progress);
    },
    finish: async () => {
      // What never ran (after a failure) must not keep the list open.
      for (const line of lines.values()) line.settled.resolve();
      await Promise.allSettled(lists);
    },
  };
}

function linesOf(plan: Plan, lines: Map<string, Line>): Line[] {
  const fresh: Line[] = [];
  for (const operation of plan.operations) {
    const key = subjectOf(operation);
    const known = lines.get(key);
    if (known && known.open > 0) known.open += 1;
    else {
      const line = makeLine(key, 1);
      lines.set(key, line);
      fresh.push(line);
    }
  }
  return fresh;
}

function makeLine(title: string, open: number): Line {
  const line: Line = {
    title,
    open,
    settled: Promise.withResolvers<void>(),
    show: (text) => {
      line.pending = text;
    },
  };
  // A list that is not drawn any more leaves nobody to hear of a failure; the command itself reports it.
  line.settled.promise.catch(() => undefined);
  return line;
}

function show(lines: readonly Line[]): Promise<unknown> {
  const list = new Listr(
    lines.map((line) => ({
      title: line.title,
      task: (_context: unknown, task: { title: string; output: string }) => {
        line.show = (title, detail) => {
          task.title = title;
          if (detail !== undefined) task.output = detail;
        };
        if (line.pending) task.title = line.pending;
        return line.settled.promise;
      },
    })),
    {
      concurrent: true,
      exitOnError: false,
      collectErrors: false,
      // Its own handler would end the process at ctrl-C with status 127, without a word on what is left.
      registerSignalListeners: false,
      rendererOptions: { showErrorMessage: false },
    },
  );
  return list.run().catch(() => undefined);
}

function advance(line: Line, operation: Operation, state: OperationState): void {
  if (state === 'begin') {
    line.show(`${line.title}  ${describeBegin(operation)}`);
    return;
  }
  line.open -= 1;
  line.show(describeOperation(operation, state) ?? line.title);
  if (state === 'failed') line.settled.reject(new Error(line.title));
  else if (line.open <= 0) line.settled.resolve();
}

function advanceImage(line: Line, { action, state, message }: ImageProgress): void {
  const verb = action === 'build' ? ['Building', 'Built'] : ['Pulling', 'Pulled'];
  if (state === 'start') line.show(`${line.title}  ${verb[0]}`);
  if (state === 'message') line.show(`${line.title}  ${verb[0]}`, lastWords(message?.text ?? message?.status ?? ''));
  if (state === 'done') {
    line.show(`${line.title}  ${verb[1]}`);
    line.settled.resolve();
  }
  if (state === 'failed') {
    line.show(`${line.title}  ${verb[0]} failed`);
    line.settled.reject(new Error(line.title));
  }
}

function lastWords(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.slice(0, 160) ?? '';
}
