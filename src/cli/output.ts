import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** The terminal, or what stands in its place. Results go to stdout; progress, warnings and errors to stderr. */
export interface Output {
  readonly isTerminal: boolean;
  readonly isErrorTerminal: boolean;
  readonly columns: number;
  print(text: string): void;
  /** Without a newline; resolves when the reader keeps up. */
  write(data: string | Uint8Array): Promise<void>;
  note(text: string): void;
  writeError(data: string | Uint8Array): Promise<void>;
  style(style: Style, text: string): string;
}

/** `--ansi`: never, always or auto (a terminal, and NO_COLOR unset). */
export type AnsiMode = 'never' | 'always' | 'auto';

export function processOutput(ansi: AnsiMode, environment: Readonly<Record<string, string | undefined>>): Output {
  const { stdout, stderr } = process;
  const colours = ansi === 'always' || (ansi === 'auto' && stdout.isTTY === true && !environment['NO_COLOR']);
  // `tscompose ps | head` closes our output: that is no error.
  for (const stream of [stdout, stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
    });
  return {
    isTerminal: stdout.isTTY === true && ansi !== 'never',
    // A terminal without a width (some CI systems) cannot be drawn on.
    isErrorTerminal: stderr.isTTY === true && ansi !== 'never' && (stderr.columns ?? 0) >= 20,
    columns: stdout.columns ?? 80,
    print: (text) => void stdout.write(`${text}\n`),
    write: (data) => writeTo(stdout, data),
    note: (text) => void stderr.write(`${text}\n`),
    writeError: (data) => writeTo(stderr, data),
    style: (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text),
  };
}

function writeTo(stream: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (stream.write(data)) resolve();
  else stream.once('drain', resolve);
  return promise;
}
