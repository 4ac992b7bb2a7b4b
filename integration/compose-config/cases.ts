import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseFixtureFile } from '../../src/compose/fixture-file.ts';

/** What both programs are given. */
export interface ConfigCase {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** `config` unless told. */
  readonly verb?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const CORPUS = join(import.meta.dirname, 'corpus');
const FIXTURES = resolve(import.meta.dirname, '../../src/compose/fixtures');

const linesOf = (name: string) =>
  readFileSync(join(CORPUS, `${name}.txt`), 'utf8')
    .split('\n')
    .filter((line) => line !== '');

const RESOURCES =
  'networks: {n: {}, m: {}}\nvolumes: {a: {}, v: {}}\nsecrets: {s: {file: ./s}}\nconfigs: {c: {file: ./c}}\nmodels: {m: {model: m}}\n';
const OTHERS = '  b: {image: b}\n  q: {image: b}\n';
const TEXTS = { 'e.env': 'E=1\n', 'f.env': 'F=1\n', 'l.env': 'L=1\n' };
const VARIABLES = { FOO: 'foo', EMPTY: '', NUM: '3', TRUTHY: 'true', SP: 'a b', DOL: 'a$b', Q: "it's" };

const service = (body: string) => `services:\n  a:\n    image: x\n    ${body}\n`;

/** Templates, in a label. */
export function interpolationCases(): ConfigCase[] {
  return linesOf('interpolation').map((template) => ({
    name: `template ${template}`,
    files: { 'compose.yaml': service(`labels: {l: ${JSON.stringify(template)}}`) },
    environment: VARIABLES,
  }));
}

/** Contents of env files, in each of the places that read them. */
export function dotenvCases(): ConfigCase[] {
  const places: readonly (readonly [place: string, file: string, yaml: string])[] = [
    ['env_file', 'e.env', service('env_file: e.env')],
    ['raw', 'e.env', service('env_file: [{path: e.env, format: raw}]')],
    ['.env', '.env', service('labels: {a: "[${A-unset}]", b: "[${B-unset}]"}')],
    ['label_file', 'e.env', service('label_file: e.env')],
  ];
  return linesOf('dotenv').flatMap((line) =>
    places.map(([place, file, yaml]) => ({
      name: `${place} ${line}`,
      files: { 'compose.yaml': yaml, [file]: JSON.parse(line) as string },
      environment: { FOO: 'foo' },
    })),
  );
}

/** Two values of one attribute, laid on each other in each way there is. */
export function mergeCases(): ConfigCase[] {
  return linesOf('merge').flatMap((line) => {
    const [key = '', base = '', over = ''] = line.split(' | ');
    return ['', '!reset null', '!override'].flatMap((tag) => {
      const top = tag === '!reset null' ? tag : `${tag} ${over}`.trim();
      const what = `${key} ${base} + ${top}`;
      const main = `${RESOURCES}${service(`${key}: ${base}`)}${OTHERS}`;
      const layer = `services:\n  a:\n    ${key}: ${top}\n`;
      const extending = (extension: string) => `    extends: ${extension}\n    ${key}: ${top}\n${OTHERS}`;
      const bare = `services:\n  base:\n    image: x\n    ${key}: ${base}\n`;
      return [
        {
          name: `-f ${what}`,
          files: { 'compose.yaml': main, 'o.yaml': layer, ...TEXTS },
          args: ['-f', 'compose.yaml', '-f', 'o.yaml'],
        },
        { name: `--- ${what}`, files: { 'compose.yaml': `${main}---\n${layer}`, ...TEXTS } },
        {
          name: `extends ${what}`,
          files: { 'compose.yaml': `${RESOURCES}${bare}  a:\n${extending('base')}`, ...TEXTS },
        },
        {
          name: `extends file ${what}`,
          files: {
            'compose.yaml': `${RESOURCES}services:\n  a:\n${extending('{file: sub/base.yaml, service: base}')}`,
            'sub/base.yaml': bare,
            'sub/e.env': 'E=sub\n',
            ...TEXTS,
          },
        },
      ];
    });
  });
}

/** Texts that stand for typed values: plain, quoted, and out of a variable. */
export function castCases(): ConfigCase[] {
  return linesOf('casts').flatMap((line) => {
    const [key = '', text = ''] = line.split(' | ');
    const value = JSON.parse(text) as string;
    const nest = (written: string) =>
      service(
        `${key
          .split('.')
          .map((part, i) => `${'  '.repeat(i)}${part}:`)
          .join('\n    ')} ${written}${key === 'healthcheck.retries' ? '\n      test: x' : ''}`,
      );
    return [
      { name: `plain ${key}: ${value}`, files: { 'compose.yaml': nest(value) } },
      { name: `quoted ${key}: ${value}`, files: { 'compose.yaml': nest(text) } },
      { name: `variable ${key}: ${value}`, files: { 'compose.yaml': nest('${VAL}') }, environment: { VAL: value } },
    ];
  });
}

/** Values of service attributes in all their forms. */
export function valueCases(): ConfigCase[] {
  return linesOf('values').map((line) => ({
    name: line,
    files: {
      'compose.yaml': `services:\n  a:\n    ${line.startsWith('image:') ? '' : 'image: x\n    '}${line}\n  b: {image: b}\n${RESOURCES}`,
      ...TEXTS,
    },
  }));
}

/** Whole sets of files: those of this folder and those that the loader is tested with. */
export function fileCases(): ConfigCase[] {
  const loader = readdirSync(FIXTURES).flatMap((file) => readCases(join(FIXTURES, file)));
  const variables = { FOO: 'foo', EMPTY: '', NUM: '3', PORT: '8080', TRUTHY: 'true', COMPOSE_PROJECT_NAME: '' };
  return [
    ...readCases(join(CORPUS, 'files.txt')),
    ...loader.map((item) => ({ ...item, environment: { ...variables, ...item.environment } })),
  ];
}

const SWITCHES: Readonly<Record<string, string>> = {
  interpolate: '--no-interpolate',
  normalise: '--no-normalize',
  'resolve-paths': '--no-path-resolution',
  'check-consistency': '--no-consistency',
  'resolve-environment': '--no-env-resolution',
};

function readCases(path: string): ConfigCase[] {
  return parseFixtureFile(readFileSync(path, 'utf8')).map(({ name, sections }) => {
    const argumentOf = (kind: string) => sections.find((section) => section.kind === kind)?.argument ?? '';
    const written = argumentOf('args');
    const args = written.startsWith('[') ? (JSON.parse(written) as string[]) : written.split(' ').filter(Boolean);
    const without = args.flatMap((arg, i) => (args[i - 1] === '--without' ? [SWITCHES[arg] ?? arg] : []));
    const verb = argumentOf('verb');
    const environment = argumentOf('environment');
    return {
      name,
      files: Object.fromEntries(
        sections.flatMap(({ kind, argument, body }) => (kind === 'file' ? [[argument, body]] : [])),
      ),
      args: args.filter((arg, i) => arg !== '--without' && args[i - 1] !== '--without'),
      verb: verb === '' ? ['config', ...without] : (JSON.parse(verb) as string[]),
      environment: environment === '' ? {} : (JSON.parse(environment) as Record<string, string>),
    };
  });
}
