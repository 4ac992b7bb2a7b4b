import { basename } from 'node:path/posix';
import type { DiagnosticCollector } from '../core/index.ts';
import { child, type Mapping, positionOf } from './node.ts';
import { expandTemplate, type Lookup } from './template.ts';

const NAME = /^[a-z0-9][a-z0-9_-]*$/;

interface NameRequest {
  /** `-p` or COMPOSE_PROJECT_NAME. */
  readonly asked: string | undefined;
  readonly documents: readonly Mapping[];
  readonly folder: string;
  readonly lookup: Lookup;
}

/** The project's name: asked for, the last `name:` of the files, or made from the folder's name. Undefined when none fits. */
export function projectName(request: NameRequest, findings: DiagnosticCollector): string | undefined {
  const { asked, documents, folder, lookup } = request;
  const hint = 'use lower-case letters, digits, "_" and "-", starting with a letter or digit';
  if (asked !== undefined && asked !== '') {
    if (NAME.test(asked)) return asked;
    findings.add({
      code: 'compose/invalid-project-name',
      severity: 'error',
      message: `${JSON.stringify(asked)} is not a project name`,
      hint,
    });
    return undefined;
  }
  for (const document of documents.toReversed()) {
    const node = child(document, 'name');
    if (node?.kind !== 'scalar' || node.value === null || node.tag === 'reset') continue;
    const expanded = expandTemplate(node.text, lookup);
    // A broken template is reported where all are: in the interpolate stage.
    if ('error' in expanded) return undefined;
    if (expanded.value === '') continue;
    const name = normalise(expanded.value);
    if (name === expanded.value) return name;
    const shown = JSON.stringify(expanded.value);
    const found = { code: 'compose/invalid-project-name', at: positionOf(node), hint };
    if (name === '') findings.add({ ...found, severity: 'error', message: `${shown} is not a project name` });
    else findings.add({ ...found, severity: 'warning', message: `${shown} is not a project name; ${name} is used` });
    return name === '' ? undefined : name;
  }
  return nameFromFolder(folder, findings);
}

function normalise(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}

function nameFromFolder(folder: string, findings: DiagnosticCollector): string | undefined {
  const name = normalise(basename(folder));
  if (name !== '') return name;
  findings.add({
    code: 'compose/no-project-name',
    severity: 'error',
    message: `no project name can be made from the folder ${folder}`,
    hint: 'give one with -p, COMPOSE_PROJECT_NAME or `name:` in the file',
  });
  return undefined;
}
