/** A quoted part, an escape, a run of plain characters, blanks or an operator; anything else is an unclosed quote. */
const PART =
  /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|(`[^`]*`|\$\([^)]*\)|[^\s'"\\;&|<>()`$]+|\$(?!\())|(\s+)|([;&|<>])/y;

/** The words of a command line; `operator` is where a shell's operator ends it. */
export interface CommandLine {
  readonly words: readonly string[];
  /** The first of `; & | < >` outside quotes; it and what follows is not part of the command, for no shell runs it. */
  readonly operator?: string;
}

/**
 * Splits a command line into words: single and double quotes, backslash escapes; no expansion of any kind. Undefined
 * when a quote or parenthesis is not closed or the line ends in a backslash.
 */
export function splitCommandLine(line: string): CommandLine | undefined {
  const words: string[] = [];
  let word: string | undefined;
  PART.lastIndex = 0;
  for (let at = 0; at < line.length; at = PART.lastIndex) {
    const match = PART.exec(line);
    if (!match) return undefined;
    const [, single, double, escaped, plain, space, operator] = match;
    if (operator !== undefined) {
      // `2>` redirects a descriptor: the number is no word.
      const isDescriptor = operator === '>' && /^\d/.test(word ?? '');
      return { words: word === undefined || isDescriptor ? words : [...words, word], operator };
    }
    if (space === undefined) {
      word = (word ?? '') + (single ?? double?.replace(/\\([\s\S])/g, '$1') ?? escaped ?? plain ?? '');
    } else {
      if (word !== undefined) words.push(word);
      word = undefined;
    }
  }
  return { words: word === undefined ? words : [...words, word] };
}
