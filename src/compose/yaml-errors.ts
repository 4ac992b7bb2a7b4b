import type { YAMLError } from 'yaml';

interface Explanation {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** A better place than the reader's. */
  readonly offset?: number;
}

/** Says in terms of compose files what the YAML reader stumbled over. */
export function explainYamlError(error: YAMLError, text: string): Explanation {
  const line = lineAt(text, error.pos[0]);
  // The reader recurses and reports the exhausted stack as an error of the document.
  if (/call stack/i.test(error.message)) return { code: 'compose/too-deep', message: 'values are nested too deeply' };
  if (error.code === 'BLOCK_AS_IMPLICIT_KEY' && /^\s*-(\s|$)/.test(line)) {
    const hint = 'use either `key: value` lines or dashes, not both';
    return { code: 'compose/bad-indent', message: 'a list item stands among the keys of a mapping', hint };
  }
  const deeper = error.code === 'BLOCK_AS_IMPLICIT_KEY' ? deeperLine(text, error.pos[0]) : undefined;
  if (deeper) return deeper;
  if (/^\s*(?:<{7}|={7}|>{7})(?:\s|$)/.test(line))
    return { code: 'compose/yaml-syntax', message: 'a merge conflict is left in the file', hint: 'choose one side' };
  const unclosed = unclosedBracket(error, text);
  if (unclosed) return unclosed;
  const known = MESSAGES.get(error.code);
  if (known) return known;
  const quote = /closing (["'])quote/.exec(error.message)?.[1];
  if (quote !== undefined) return unclosedQuote(quote, text);
  if (error.code === 'TAB_AS_INDENT' || /^[ ]*\t/.test(line)) {
    return { code: 'compose/tab-indent', message: 'a tab is used for indentation', hint: 'indent with spaces' };
  }
  const plain = error.message.charAt(0).toLowerCase() + error.message.slice(1);
  const hint = hintFor(error.code, line);
  return { code: CODES.get(error.code) ?? 'compose/yaml-syntax', message: plain, ...(hint !== undefined && { hint }) };
}

const CLOSING = { '[': ']', '{': '}' } as const;

/** `[` or `{` without its other half: told at the place where it begins. */
function unclosedBracket({ message, pos }: YAMLError, text: string): Explanation | undefined {
  const closing = /and end with a ([\]}])$/.exec(message)?.[1];
  if (closing === undefined) return undefined;
  const open: { readonly bracket: '[' | '{'; readonly offset: number }[] = [];
  const bare = text
    .slice(0, pos[0])
    .replace(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?<=\s)#.*/g, (part) => ' '.repeat(part.length));
  for (const { 0: bracket, index: offset } of bare.matchAll(/[[\]{}]/g)) {
    if (bracket === '[' || bracket === '{') open.push({ bracket, offset });
    else open.pop();
  }
  const last = open.findLast(({ bracket }) => CLOSING[bracket] === closing);
  if (!last) return undefined;
  const said = { code: 'compose/yaml-syntax', message: `the ${last.bracket} is never closed`, offset: last.offset };
  return { ...said, hint: `add the missing ${closing}` };
}

/** A key below a finished `key: value` line, indented deeper: it can belong to nothing. */
function deeperLine(text: string, offset: number): Explanation | undefined {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const [, indent = '', key] = /^( *)(?:- )?([\w.-]+):[ ]+[^\s#|>&{["']/.exec(lineAt(text, offset)) ?? [];
  const below = text.indexOf('\n', offset) + 1;
  const next = below === 0 ? '' : lineAt(text, below);
  const [, nextIndent = '', nextKey] = /^( *)([\w.-]+):(?:\s|$)/.exec(next) ?? [];
  if (key === undefined || nextKey === undefined || nextIndent.length <= indent.length || start === below)
    return undefined;
  return {
    code: 'compose/bad-indent',
    message: `${nextKey} is indented deeper than ${key}, which has a value already`,
    hint: `start ${nextKey} in the same column as ${key}`,
    offset: below + nextIndent.length,
  };
}

const MESSAGES: ReadonlyMap<string, Explanation> = new Map([
  [
    'MULTILINE_IMPLICIT_KEY',
    {
      code: 'compose/yaml-syntax',
      message: 'this is not a `key: value` pair',
      hint: 'check that a ":" and a space follow the key',
    },
  ],
]);

/** The reader notices at the end of the file; the first line with an odd number of quotes is where it began. */
function unclosedQuote(quote: string, text: string): Explanation {
  let start = 0;
  for (const line of text.split('\n')) {
    const count = line.replace(/\\./g, '').split(quote).length - 1;
    if (count % 2 === 1) {
      const offset = start + line.indexOf(quote);
      return {
        code: 'compose/yaml-syntax',
        message: `the ${quote} is never closed`,
        hint: 'close it on the same line',
        offset,
      };
    }
    start += line.length + 1;
  }
  return { code: 'compose/yaml-syntax', message: `a ${quote} is never closed` };
}

const CODES: ReadonlyMap<string, string> = new Map([
  ['BAD_INDENT', 'compose/bad-indent'],
  ['BLOCK_AS_IMPLICIT_KEY', 'compose/bad-indent'],
  ['BAD_ALIAS', 'compose/unknown-alias'],
]);

function hintFor(code: string, line: string): string | undefined {
  if (/[{[,]\s*(?:[\w.-]+:\s+)?[^\s"'{}[\],]*\$\{/.test(line) && code !== 'BAD_INDENT')
    return 'inside { } and [ ] a value with a variable needs quotes';
  if (/:\s*[*@`%]/.test(line)) return 'a value that starts with a special character needs quotes';
  if (code === 'BLOCK_AS_IMPLICIT_KEY' || /:\s+[^'"].*:\s/.test(line)) {
    return 'a value that contains ": " needs quotes; otherwise check the indentation';
  }
  if (code === 'BAD_INDENT') return 'keys of one mapping start in the same column';
  if (/^\s*-[^\s-]/.test(line)) return 'write a blank after the dash';
  if (code === 'MISSING_CHAR' && /["'][ \t]+["']/.test(line)) return 'part items with a comma';
  if (code === 'MISSING_CHAR') {
    return /["']/.test(line) ? 'check that every quote is closed' : 'check that a ":" with a space follows the key';
  }
  return undefined;
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', offset);
  return text.slice(start, end < 0 ? text.length : end);
}
