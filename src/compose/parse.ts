import type { DiagnosticCollector } from '../core/index.ts';
import type { Mapping } from './node.ts';
import { readPlainYaml } from './read-plain-yaml.ts';
import type { Source } from './source.ts';

/**
 * Stage 1: YAML text to one tree per document, anchors and merge keys resolved. A document that is not YAML is reported
 * and left out, so later stages see sound trees only.
 */
export async function parse(source: Source, findings: DiagnosticCollector): Promise<Mapping[]> {
  const plain = readPlainYaml(source);
  if (plain) return [plain];
  // The library takes longer to load than most files to read.
  const { readYaml } = await import('./read-yaml.ts');
  return readYaml(source, findings);
}
