/** One case of a fixture file: `=== name`, then sections that begin with `--- kind argument`. */
export interface FixtureBlock {
  readonly name: string;
  readonly sections: readonly { readonly kind: string; readonly argument: string; readonly body: string }[];
}

const SECTION = /^--- (?=(?:args|verb|environment|file|findings|model)\b)/m;

/** Reads a file of fixtures: tests of the loader, and comparisons with other programs, are written as such. */
export function parseFixtureFile(text: string): FixtureBlock[] {
  return text
    .split(/^=== /m)
    .slice(1)
    .map((block) => {
      const [name = '', ...sections] = block.split(SECTION);
      return { name: name.trim(), sections: sections.map(parseSection) };
    });
}

function parseSection(text: string): FixtureBlock['sections'][number] {
  const end = text.indexOf('\n');
  const [kind = '', ...rest] = text.slice(0, end).split(' ');
  return { kind, argument: rest.join(' '), body: text.slice(end + 1) };
}
