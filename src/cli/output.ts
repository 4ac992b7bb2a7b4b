import { styleText } from 'node:util';
import { openChannel } from './channel.ts';

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
  const stdout = openChannel(1, () => process.stdout);
  const stderr = openChannel(2, () => process.stderr);
  const colours = () => ansi === 'always' || (ansi === 'auto' && stdout.isTerminal && !environment['NO_COLOR']);
  return {
    get isTerminal() {
      return ansi !== 'never' && stdout.isTerminal;
    },
    // A terminal without a width (some CI systems) cannot be drawn on.
    get isErrorTerminal() {
      return ansi !== 'never' && stderr.isTerminal && (stderr.columns ?? 0) >= 20;
    },
    get columns() {
      return stdout.columns ?? 80;
    },
    print: (text) => void stdout.write(`${text}\n`),
    write: (data) => stdout.write(data),
    note: (text) => void stderr.write(`${text}\n`),
    writeError: (data) => stderr.write(data),
    style: (style, text) => (colours() ? styleText(style, text, { validateStream: false }) : text),
  };
}
