/** Cuts a byte stream into lines; a line is given out without its newline. Long lines in small chunks stay linear. */
export class LineSplitter {
  #parts: Buffer[] = [];

  /** Takes the next bytes; returns the lines that are now whole, in order. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      this.#parts.push(chunk.subarray(from, at));
      lines.push(Buffer.concat(this.#parts).toString('utf8'));
      this.#parts = [];
      from = at + 1;
    }
    if (from < chunk.length) this.#parts.push(chunk.subarray(from));
    return lines;
  }
}
