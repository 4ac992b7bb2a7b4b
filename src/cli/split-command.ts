import { TscError } from '../core/index.ts';

/** A word is made of unquoted text, quoted text and escaped characters. */
const PIECE = /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^\s'"\\]+)|(\s+)/gsy;

/** Splits a command line into words as a shell would, with quotes and backslashes but nothing else. */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let end = 0;
  for (const piece of text.matchAll(PIECE)) {
    const [whole, single, double, escaped, plain, space] = piece;
    end = piece.index + whole.length;
    if (space === undefined) {
      word = (word ?? '') + (single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '');
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (end !== text.length) throw new TscError('cli/invalid', `unclosed quote in ${JSON.stringify(text)}`);
  if (word !== undefined) words.push(word);
  return words;
}
