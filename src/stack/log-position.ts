/** `2026-01-31T12:00:00.123456789Z `, before every entry of a log that is read with its times. */
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z /;
const LONGEST_TIME = 32;

/**
 * How far a log has been read, so that reading can go on after the engine was away without a gap and without a line twice.
 * Several entries may have one time: those already seen are counted.
 */
export class LogPosition {
  readonly #keepTimes: boolean;
  #last: { readonly time: string; readonly since: string } | undefined;
  #seen = 0;
  #skip = 0;

  constructor(keepTimes: boolean) {
    this.#keepTimes = keepTimes;
  }

  /** Takes one entry; undefined when it was seen before. */
  take(entry: Buffer): Buffer | undefined {
    const match = TIME.exec(entry.toString('latin1', 0, LONGEST_TIME));
    if (!match) return entry;
    const [{ length }, seconds = '', fraction = ''] = match;
    const time = seconds + fraction;
    if (time !== this.#last?.time) {
      this.#last = { time, since: `${Date.parse(`${seconds}Z`) / 1000}${fraction}` };
      this.#seen = 0;
      this.#skip = 0;
    }
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    this.#seen += 1;
    return this.#keepTimes ? entry : entry.subarray(length);
  }

  /** Options for reading on from here. */
  resume<T extends { readonly since?: string; readonly tail?: number }>(options: T): T {
    if (!this.#last) return options;
    this.#skip = this.#seen;
    const { tail: _tail, ...rest } = options;
    return { ...rest, since: this.#last.since } as T;
  }
}
