import { TscError } from '../core/index.ts';

/** One line of a progress stream (pull, load, import, build). Exactly the fields that apply are present. */
export interface ProgressLine {
  /** Text of a build, shown as it is. */
  readonly stream?: string;
  /** State of one step or layer. */
  readonly status?: string;
  /** Layer or object the state belongs to. */
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number; readonly units?: string };
  /** Bar drawn by the sender for clients that draw none. */
  readonly progress?: string;
  /** Failure that ends the stream; `error` repeats the message for old clients. */
  readonly error?: string;
  readonly errorDetail?: { readonly code?: number; readonly message: string };
  /** Data for programs, for example the id of a built image. */
  readonly aux?: Readonly<Record<string, unknown>>;
}

const MAX_LINE = 1 << 20;

/** One line of the stream: JSON and CR LF, which terminals and parsers both take. */
export function formatProgressLine(line: ProgressLine): string {
  return `${JSON.stringify(line)}\r\n`;
}

/** The last line of a stream that failed. */
export function formatProgressError(message: string, code?: number): string {
  return formatProgressLine({ errorDetail: { ...(code !== undefined && { code }), message }, error: message });
}

/** Parses one line. Throws `api/invalid` for anything but an object. */
export function parseProgressLine(text: string): ProgressLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TscError('api/invalid', 'progress line is not valid JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TscError('api/invalid', 'progress line is not an object');
  }
  return value;
}

/** Cuts a byte stream into JSON values, one per line; used for progress and events. */
export class JsonLinesDecoder {
  readonly #text = new TextDecoder();
  #rest = '';

  /** Texts of the lines that are complete now. Throws `api/invalid` when a line has no end within 1 MiB. */
  push(chunk: Uint8Array): string[] {
    const lines = (this.#rest + this.#text.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_LINE) throw new TscError('api/invalid', `line is longer than ${MAX_LINE} characters`);
    return lines.map((line) => line.trim()).filter((line) => line !== '');
  }

  /** What stood after the last line end. */
  end(): string[] {
    const last = (this.#rest + this.#text.decode()).trim();
    this.#rest = '';
    return last === '' ? [] : [last];
  }
}
