import type { Diagnostic } from '../../core/index.ts';
import { FINDING_CODES } from '../finding-codes.ts';
import { LINT_RULES } from './lint-rules.ts';

/** Findings as SARIF 2.1.0, which code hosts and editors show at the lines; places below `folder` become relative. */
export function formatSarif(diagnostics: readonly Diagnostic[], folder: string, version: string): string {
  const codes = [...new Set(diagnostics.map(({ code }) => code))].sort();
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'tscompose', version, rules: codes.map((id) => ({ id, ...describe(id) })) } },
        columnKind: 'utf16CodeUnits',
        originalUriBaseIds: { ROOT: { uri: `file://${encodeURI(folder)}/` } },
        results: diagnostics.map((item) => resultOf(item, codes, folder)),
      },
    ],
  };
  return `${JSON.stringify(log, undefined, 2)}\n`;
}

/** Every code with its meaning: those of the loader and those of the rules. */
export function listCodes(): readonly (readonly [code: string, meaning: string])[] {
  return [
    ...Object.entries(FINDING_CODES),
    ...LINT_RULES.map(({ name, summary }) => [`lint/${name}`, summary] as const),
    ['lint/unknown-rule', 'x-lint names a rule or level that does not exist'],
  ];
}

function describe(id: string): object {
  const text = listCodes().find(([code]) => code === id)?.[1];
  return text === undefined ? {} : { shortDescription: { text } };
}

function resultOf({ code, severity, message, at, hint }: Diagnostic, codes: readonly string[], folder: string): object {
  return {
    ruleId: code,
    ruleIndex: codes.indexOf(code),
    level: severity,
    message: { text: hint === undefined ? message : `${message}\n${hint}` },
    ...(at && {
      locations: [
        {
          physicalLocation: {
            artifactLocation: artifact(at.file, folder),
            region: { startLine: at.line, startColumn: at.column, endColumn: at.column + (at.length ?? 1) },
          },
        },
      ],
    }),
  };
}

function artifact(file: string, folder: string): object {
  return file.startsWith(`${folder}/`)
    ? { uri: encodeURI(file.slice(folder.length + 1)), uriBaseId: 'ROOT' }
    : { uri: `file://${encodeURI(file)}` };
}
