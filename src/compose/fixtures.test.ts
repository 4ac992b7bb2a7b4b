import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseFixtureFile } from './fixture-file.ts';
import {
  ComposeError,
  type LoadOptions,
  loadModel,
  loadProject,
  memoryReader,
  type OptionalStage,
  renderProject,
} from './index.ts';

/**
 * One case of a fixture file: `=== name`, `--- args` (flags; `--without` a stage), `--- file path`, `--- findings` (severity, code, place) and
 * `--- model` (the rendered model). Models were compared with what docker compose 2.40 prints for the same files.
 */
interface Fixture {
  readonly name: string;
  readonly args: readonly string[];
  readonly files: Readonly<Record<string, string>>;
  readonly findings: string;
  readonly model: string;
  readonly without: readonly OptionalStage[];
}

function parseFixtures(text: string): Fixture[] {
  return parseFixtureFile(text).map(({ name, sections }) => {
    const bodyOf = (kind: string) => sections.find((section) => section.kind === kind)?.body ?? '';
    const args = sections.find(({ kind }) => kind === 'args')?.argument.split(' ') ?? [];
    const files = sections.filter(({ kind }) => kind === 'file');
    return {
      name,
      args: args.filter((arg, i) => arg !== '--without' && args[i - 1] !== '--without'),
      files: Object.fromEntries(files.map(({ argument, body }) => [`/project/${argument}`, body])),
      findings: bodyOf('findings'),
      model: bodyOf('model'),
      without: args.flatMap((arg, i) => (args[i - 1] === '--without' ? [arg as OptionalStage] : [])),
    };
  });
}

const FLAGS = { '-f': 'files', '--profile': 'profiles', '--env-file': 'envFiles' } as const;

function optionsOf({ args, files }: Fixture): LoadOptions {
  const given: Record<'files' | 'profiles' | 'envFiles', string[]> = { files: [], profiles: [], envFiles: [] };
  for (let i = 0; i < args.length; i += 2) given[FLAGS[args[i] as keyof typeof FLAGS]].push(args[i + 1] ?? '');
  return {
    ...given,
    currentDirectory: '/project',
    environment: { HOME: '/home/u', FOO: 'foo', EMPTY: '', NUM: '3', PORT: '8080', TRUTHY: 'true' },
    reader: memoryReader(files),
    purpose: 'show',
  };
}

async function run(
  options: LoadOptions,
  without: readonly OptionalStage[] = [],
): Promise<{ findings: string; model: string; json: string }> {
  const show = (findings: ComposeError['diagnostics']) =>
    findings
      .map(({ severity, code, at }) => {
        const place = at ? ` ${at.file.replace('/project/', '')}:${at.line}:${at.column}` : '';
        return `${severity} ${code}${place}\n`;
      })
      .join('');
  try {
    if (without.length > 0) {
      const { render, warnings } = await loadModel(options, without);
      return { findings: show(warnings), model: render('yaml'), json: render('json') };
    }
    const { project, warnings } = await loadProject(options);
    const [model, json] = [renderProject(project, { format: 'yaml' }), renderProject(project, { format: 'json' })];
    return { findings: show(warnings), model, json };
  } catch (error) {
    if (error instanceof ComposeError) return { findings: show(error.diagnostics), model: '', json: '' };
    throw error;
  }
}

const folder = new URL('./fixtures/', import.meta.url);
for (const file of readdirSync(folder)) {
  describe(file, () => {
    const fixtures = parseFixtures(readFileSync(new URL(file, folder), 'utf8'));
    it.each(fixtures.map((fixture) => [fixture.name, fixture] as const))('%s', async (_name, fixture) => {
      const { findings, model } = await run(optionsOf(fixture), fixture.without);
      expect({ findings, model }).toEqual({ findings: fixture.findings, model: fixture.model });
    });

    const whole = fixtures.filter(({ model, without }) => model !== '' && without.length === 0);
    if (whole.length === 0) return;
    it.each(whole.map((fixture) => [fixture.name, fixture] as const))(
      'loads again to the same model: %s',
      async (_name, fixture) => {
        const options = { ...optionsOf(fixture), files: [], envFiles: [], profiles: ['*'] };
        const again = await run({ ...options, reader: memoryReader({ '/project/compose.yaml': fixture.model }) });
        expect(again.model).toBe(fixture.model);
        expect(JSON.parse(again.json)).toBeTypeOf('object');
        const fromJson = await run({ ...options, reader: memoryReader({ '/project/compose.yaml': again.json }) });
        expect(fromJson.model).toBe(fixture.model);
      },
    );
  });
}
