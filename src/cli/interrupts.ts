import { writeSync } from 'node:fs';
import type { Output } from './output.ts';

/** Calls `act` with 1, 2, 3… on every SIGINT or SIGTERM instead of ending the process, until disposed. */
export function onInterrupt(act: (count: number) => void): Disposable {
  let count = 0;
  const listener = () => {
    count += 1;
    act(count);
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    [Symbol.dispose]: () => {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}

/** The first interrupt lets what is under way finish and begins nothing more; the second leaves at once. */
export function stopOnInterrupt(stop: AbortController, output: Output): Disposable {
  return onInterrupt((count) => {
    if (count === 1) {
      stop.abort();
      return;
    }
    // A live list hides the cursor and holds back what is written through the stream.
    if (output.isErrorTerminal) writeSync(2, '\u001b[?25h\n');
    process.exit(130);
  });
}
