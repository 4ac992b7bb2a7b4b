import type { LogLine } from '../../stack/index.ts';
import type { Output } from '../output.ts';

export interface LogViewOptions {
  /** false: no `web-1  | ` in front. */
  readonly prefix: boolean;
  readonly colour: boolean;
}

const COLOURS = ['cyan', 'yellow', 'green', 'magenta', 'blue'] as const;
const BRIGHT = ['cyanBright', 'yellowBright', 'greenBright', 'magentaBright', 'blueBright'] as const;
const PALETTE = [...COLOURS, ...BRIGHT];

/** Writes log lines with aligned, coloured names in front. The width grows with the longest name seen. */
export class LogView {
  readonly #output: Output;
  readonly #options: LogViewOptions;
  readonly #project: string;
  readonly #colours = new Map<string, number>();
  #width = 0;

  constructor(output: Output, project: string, options: LogViewOptions) {
    this.#output = output;
    this.#project = project;
    this.#options = options;
  }

  /** Names that will appear, so that the first line already has the final width. */
  expect(containers: readonly string[]): void {
    for (const name of containers) this.#width = Math.max(this.#width, this.#shortName(name).length);
  }

  line(line: Pick<LogLine, 'container' | 'stream' | 'text'>): void {
    const text = `${this.#prefix(line.container)}${line.text}\n`;
    if (line.stream === 'stderr') void this.#output.writeError(text);
    else void this.#output.write(text);
  }

  /** A remark of ours about a container: `web-1 exited with code 0`. */
  remark(container: string, words: string): void {
    this.#output.print(`${this.#shortName(container)} ${words}`);
  }

  #prefix(container: string): string {
    if (!this.#options.prefix) return '';
    const name = this.#shortName(container);
    this.#width = Math.max(this.#width, name.length);
    const padded = `${name.padEnd(this.#width)}  | `;
    if (!this.#options.colour) return padded;
    const known = this.#colours.get(name) ?? this.#colours.size;
    this.#colours.set(name, known);
    return this.#output.style(PALETTE[known % PALETTE.length] ?? 'cyan', padded);
  }

  /** `demo-web-1` of project demo is `web-1`. */
  #shortName(container: string): string {
    return container.startsWith(`${this.#project}-`) ? container.slice(this.#project.length + 1) : container;
  }
}
