import { formatProgressError, formatProgressLine, type ProgressLine } from '../api/index.ts';
import { messageOf } from './http-errors.ts';
import type { ApiResponse } from './http-message.ts';

/** Work that reports lines while it runs. */
export type ProgressWork = (report: (line: ProgressLine) => void) => Promise<void>;

/**
 * Runs work whose lines become the answer. A failure before the first line rejects, so that it gets a status of its own;
 * a later one is the last line of the stream, as the head is long gone by then.
 */
export async function progressResponse(work: ProgressWork): Promise<ApiResponse> {
  const lines: string[] = [];
  let finished = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();
  const running = work((line) => {
    lines.push(formatProgressLine(line));
    wake.resolve();
  })
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      finished = true;
      wake.resolve();
    });
  await wake.promise;
  if (failure && lines.length === 0) throw failure.error;
  return {
    kind: 'stream',
    status: 200,
    headers: { 'Content-Type': 'application/json' },
    chunks: (async function* () {
      for (;;) {
        wake = Promise.withResolvers<void>();
        if (lines.length > 0) yield lines.splice(0).join('');
        else if (finished) break;
        else await wake.promise;
      }
      await running;
      if (failure) yield formatProgressError(messageOf(failure.error));
    })(),
  };
}
