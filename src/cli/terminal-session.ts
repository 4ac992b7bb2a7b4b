import type { StreamSession } from '../client/index.ts';
import type { Output } from './output.ts';

export interface SessionOptions {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly output: Output;
  /** Tells the engine the terminal's size. */
  readonly resize: (rows: number, columns: number) => Promise<void>;
}

/**
 * Joins our terminal to a session until its output ends: keys go in raw, the size follows. Without a terminal our
 * stdin is copied and its end passed on.
 */
export async function joinTerminal(session: StreamSession, options: SessionOptions): Promise<void> {
  const { stdin, stdout } = process;
  const raw = options.tty && options.stdin && stdin.isTTY === true;
  const size = () => {
    if (stdout.rows && stdout.columns) void options.resize(stdout.rows, stdout.columns).catch(() => undefined);
  };
  const input = (data: Buffer) => {
    stdin.pause();
    void session.write(data).then(() => stdin.resume());
  };
  if (options.tty) {
    size();
    stdout.on('resize', size);
  }
  if (raw) stdin.setRawMode(true);
  if (options.stdin) {
    stdin.on('data', input);
    stdin.on('end', () => session.end());
  } else session.end();
  try {
    for await (const { stream, data } of session.output) {
      if (stream === 'stderr') await options.output.writeError(data);
      else await options.output.write(data);
    }
  } finally {
    stdout.off('resize', size);
    stdin.off('data', input);
    if (raw) stdin.setRawMode(false);
    // A terminal or pipe that stays open must not keep the process alive.
    stdin.pause();
    stdin.unref?.();
    session.close();
  }
}
