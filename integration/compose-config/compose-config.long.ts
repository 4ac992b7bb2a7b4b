import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { peer } from '../kit/peers.ts';
import {
  type ConfigCase,
  castCases,
  dotenvCases,
  fileCases,
  interpolationCases,
  mergeCases,
  valueCases,
} from './cases.ts';
import { type Difference, EXCEPTIONS, type Exception } from './exceptions.ts';

// `config` prints byte for byte what docker compose prints, and refuses what it refuses, but for the exceptions, each with its reason.
const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');
const AT_ONCE = 2;

let reference: string;
let root: string;
const used = new Set<Exception>();

beforeAll(async () => {
  const found = await peer('docker-compose-2');
  if ('reason' in found) throw new Error(`docker compose is needed: ${found.reason}`);
  reference = found.path;
  root = mkdtempSync('/tmp/tsc-config-');
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

it.each([
  ['templates', interpolationCases],
  ['env files', dotenvCases],
  ['merges', mergeCases],
  ['typed values', castCases],
  ['values', valueCases],
  ['files', fileCases],
] as const)(
  'config agrees with docker compose on %s',
  async (group, casesOf) => {
    const found = await compareAll(group, casesOf());
    expect(found.filter(({ difference, name }) => !isMeant(difference, name))).toEqual([]);
  },
  1_800_000,
);

it('every exception is needed', () => {
  expect(EXCEPTIONS.filter((exception) => !used.has(exception)).map(({ cases }) => String(cases))).toEqual([]);
});

function isMeant(difference: Difference, name: string): boolean {
  const fitting = EXCEPTIONS.filter((exception) => exception.difference === difference && exception.cases.test(name));
  for (const exception of fitting) used.add(exception);
  return fitting.length > 0;
}

interface Parting {
  readonly name: string;
  readonly difference: Difference;
  readonly theirs: string;
  readonly ours: string;
}

async function compareAll(group: string, cases: readonly ConfigCase[]): Promise<Parting[]> {
  const found: Parting[] = [];
  const pending = cases.entries();
  const work = async () => {
    for (const [index, item] of pending) {
      const parting = await compare(item, join(root, group.replaceAll(' ', '-'), String(index)));
      if (parting) found.push(parting);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

async function compare(item: ConfigCase, folder: string): Promise<Parting | undefined> {
  mkdirSync(folder, { recursive: true });
  for (const [path, text] of Object.entries(item.files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const args = [...(item.args ?? []), ...(item.verb ?? ['config'])];
  const options = {
    cwd: folder,
    environment: {
      PATH: process.env['PATH'] ?? '',
      HOME: '/home/u',
      DOCKER_HOST: 'unix:///nonexistent',
      COMPOSE_PROJECT_NAME: 'proj',
      ...item.environment,
    },
  };
  const theirs = await runProgram(reference, args, options);
  const ours = await runProgram(COMMAND, args, options);
  rmSync(folder, { recursive: true });
  const parting = (difference: Difference): Parting => ({
    name: item.name,
    difference,
    theirs: (theirs.status === 0 ? theirs.stdout : theirs.stderr).slice(0, 2000),
    ours: (ours.status === 0 ? ours.stdout : ours.stderr).slice(0, 2000),
  });
  if ((theirs.status === 0) !== (ours.status === 0)) return parting(theirs.status === 0 ? 'refused' : 'accepted');
  const [expected, actual] = [theirs.stdout, ours.stdout].map((text) => (isUnordered(args) ? sortLines(text) : text));
  return theirs.status === 0 && expected !== actual ? parting('printed') : undefined;
}

/** Lists that the reference prints in another order each time. */
const UNORDERED = [
  '--services',
  '--networks',
  '--volumes',
  '--images',
  '--profiles',
  '--models',
  '--variables',
  '--hash',
];

const isUnordered = (args: readonly string[]) =>
  !args.includes('json') && UNORDERED.some((flag) => args.includes(flag));
const sortLines = (text: string) => text.split('\n').sort().join('\n');
