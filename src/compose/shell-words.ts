/** A quoted part, an escaped character or a run of plain characters; anything else is an unclosed quote. */
const PART = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\]+)|(\s+)/y;

/**
 * Splits a command line into words: single and double quotes, backslash escapes; no expansion of any kind. Undefined
 * when a quote is not closed or the line ends in a backslash.
 */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  PART.lastIndex = 0;
  for (let at = 0; at < line.length; at = PART.lastIndex) {
    const match = PART.exec(line);
    if (!match) return undefined;
    const [, single, double, escaped, plain, space] = match;
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + (single ?? double?.replace(/\\([\s\S])/g, '$1') ?? escaped ?? plain ?? '');
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
