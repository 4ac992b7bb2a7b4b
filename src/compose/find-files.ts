import { basename, dirname, join } from 'node:path/posix';
import type { DiagnosticCollector } from '../core/index.ts';
import type { SourceReader } from './source.ts';

const NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const OVERRIDES = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

/** The compose file of a folder or its nearest parent, with its override file; empty when there is none. */
export async function findFiles(
  folder: string,
  reader: SourceReader,
  findings: DiagnosticCollector,
): Promise<string[]> {
  for (let at = folder; ; at = dirname(at)) {
    const main = await firstOf(at, NAMES, reader, findings);
    if (main !== undefined) {
      const override = await firstOf(at, OVERRIDES, reader, findings);
      return override === undefined ? [main] : [main, override];
    }
    if (at === '/' || at === dirname(at)) return [];
  }
}

async function firstOf(
  folder: string,
  names: readonly string[],
  reader: SourceReader,
  findings: DiagnosticCollector,
): Promise<string | undefined> {
  const found: string[] = [];
  for (const name of names) {
    const path = join(folder, name);
    // One that is there and cannot be read counts: loading it tells why.
    const there = await reader.read(path).then(
      (content) => content !== undefined,
      () => true,
    );
    if (there) found.push(path);
  }
  const [first, ...others] = found;
  if (first !== undefined && others.length > 0) {
    const names = others.map((path) => basename(path)).join(', ');
    findings.add({
      code: 'compose/several-files',
      severity: 'warning',
      message: `${folder} has several compose files; ${basename(first)} is used, not ${names}`,
      hint: 'name the file with -f, or remove the others',
    });
  }
  return first;
}
