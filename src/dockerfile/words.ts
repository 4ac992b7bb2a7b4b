/** Splits at blanks outside quotes; quotes and escapes stay in the words for the expansion to remove. */
export function splitWords(text: string, escapeChar: string): string[] {
  const protectedChar = escapeChar === '`' ? '`[^]' : '\\\\[^]';
  const plain = escapeChar === '`' ? '[^"`]' : '[^"\\\\]';
  const word = new RegExp(`(?:${protectedChar}|"(?:${protectedChar}|${plain})*"|'[^']*'|\\S)+`, 'g');
  return text.match(word) ?? [];
}

/** The strings of a JSON array (exec form), or undefined when the text is not one. */
export function parseExecForm(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
  } catch {
    // Not JSON: the text is a shell form that happens to start with a bracket.
    return undefined;
  }
}

/** Leading `--name[=value]` flags and what follows them. */
export function takeFlags(text: string): { readonly flags: ReadonlyMap<string, string>; readonly rest: string } {
  const flags = new Map<string, string>();
  let rest = text;
  for (let match = /^--([a-z-]+)(?:=("[^"]*"|'[^']*'|\S*))?(?:\s+|$)/.exec(rest); match; ) {
    const name = match[1] ?? '';
    const value = (match[2] ?? '').replace(/^(["'])(.*)\1$/, '$2');
    flags.set(name, flags.has(name) ? `${flags.get(name)}\n${value}` : value);
    rest = rest.slice(match[0].length);
    match = /^--([a-z-]+)(?:=("[^"]*"|'[^']*'|\S*))?(?:\s+|$)/.exec(rest);
  }
  return { flags, rest };
}
