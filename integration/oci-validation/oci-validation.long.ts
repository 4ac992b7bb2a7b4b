import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { cgroupDirectories, RUNTIME } from '../kit/bundle.ts';
import { peer } from '../kit/peers.ts';
import { KNOWN } from './known.ts';

/** The OCI project's own validation programs, built from Debian's packages and run against our binary. */
const compiler = await peer('oci-validation');
const source = await peer('oci-validation-source');
const available = 'path' in compiler && 'path' in source;

interface Suite {
  readonly directory: string;
  readonly runtime: string;
  /** What our runtime says goes there. */
  readonly words: string;
  /** The programs leave their bundles there. */
  readonly temporary: string;
  readonly programs: readonly string[];
  close(): Promise<void>;
}

async function must(
  file: string,
  args: readonly string[],
  environment: Record<string, string>,
  cwd: string,
): Promise<void> {
  const { status, stderr } = await runProgram(file, args, { environment, cwd });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.slice(-1000)}`);
}

async function build(go: string, from: string): Promise<Suite> {
  const home = mkdtempSync('/tmp/tsc-validation-');
  const modules = join(home, 'gopath/src/github.com');
  const directory = join(modules, 'opencontainers/runtime-tools');
  const unpacked = go.replace(/\/usr\/lib\/go-1\.19\/bin\/go$/, '');
  mkdirSync(join(modules, 'opencontainers'), { recursive: true });
  mkdirSync(join(modules, 'mndrix/tap-go'), { recursive: true });
  copyFileSync(join(import.meta.dirname, 'tap.go'), join(modules, 'mndrix/tap-go/tap.go'));
  await must('/bin/cp', ['-a', from, directory], {}, home);
  const environment = {
    PATH: '/usr/bin:/bin',
    HOME: home,
    GO111MODULE: 'off',
    CGO_ENABLED: '0',
    GOROOT: join(unpacked, 'usr/lib/go-1.19'),
    GOPATH: `${join(home, 'gopath')}:${join(unpacked, 'usr/share/gocode')}`,
    GOCACHE: join(home, 'cache'),
  };
  const programs = readdirSync(join(directory, 'validation')).filter((name) => name !== 'util' && !name.includes('.'));
  await must(go, ['build', '-o', 'runtimetest', './cmd/runtimetest'], environment, directory);
  const all = programs.map((name) => `./validation/${name}`);
  await must(go, ['build', '-o', join(home, 'programs/'), ...all], environment, directory);
  const runtime = join(home, 'runtime');
  writeFileSync(
    runtime,
    `#!/bin/sh\nexec '${RUNTIME}' --log '${join(home, 'words')}' --root '${join(home, 'state')}' "$@"\n`,
    { mode: 0o755 },
  );
  symlinkSync(join(home, 'programs'), join(directory, 'built'));
  const temporary = join(home, 'tmp');
  mkdirSync(temporary);
  return { directory, runtime, words: join(home, 'words'), temporary, programs, close: () => remove(home, runtime) };
}

async function remove(home: string, runtime: string): Promise<void> {
  const left = (await runProgram(runtime, ['list', '--quiet'])).stdout.split('\n').filter((id) => id !== '');
  for (const id of left) await runProgram(runtime, ['delete', '--force', id]);
  for (const group of ['/cgrouptest', '/testdir/cgrouptest', '/testdir'])
    for (const place of cgroupDirectories(group)) rmdirSync(place);
  rmSync(home, { recursive: true, force: true });
}

/** What a program holds against us: failed assertions, or its last words when it gave up. */
function complaints({ status, stdout, stderr }: RunResult): string[] {
  const failed = stdout.split('\n').filter((line) => line.startsWith('not ok') && !line.includes('# TODO'));
  if (failed.length > 0 || status === 0) return failed;
  return [stderr.trim() === '' ? `status ${status}` : stderr.trim()];
}

/** One attempt; what is held against us and not known to be wrong. */
async function attempt(suite: Suite, program: string) {
  rmSync(suite.words, { force: true });
  const result = await runProgram(join(suite.directory, 'built', program), [], {
    cwd: suite.directory,
    environment: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TMPDIR: suite.temporary, RUNTIME: suite.runtime },
  });
  const said = existsSync(suite.words) ? readFileSync(suite.words, 'utf8') : '';
  const found = complaints(result).map((complaint) => ({
    complaint: `${program}: ${complaint}`,
    known: KNOWN.find(
      (known) =>
        known.program === program &&
        known.text.test(complaint) &&
        (known.because === undefined || known.because.test(said)),
    ),
  }));
  return {
    passed: result.stdout.split('\n').filter((line) => line.startsWith('ok ')).length,
    unknown: found.filter(({ known }) => !known).map(({ complaint }) => complaint),
    races: found.filter(({ known }) => known?.race).map(({ complaint }) => complaint),
  };
}

const ATTEMPTS = 3;

test.skipIf(!available)(
  'every validation program passes, but for what is known to be wrong',
  { timeout: 600_000 },
  async () => {
    if (!('path' in compiler && 'path' in source)) return;
    const suite = await build(compiler.path, source.path);
    const unknown: string[] = [];
    let passed = 0;
    try {
      for (const program of suite.programs) {
        let one = await attempt(suite, program);
        for (let again = 1; one.races.length > 0 && again < ATTEMPTS; again++) one = await attempt(suite, program);
        passed += one.passed;
        unknown.push(...one.unknown, ...one.races);
      }
    } finally {
      await suite.close();
    }
    expect(unknown).toEqual([]);
    // A suite that hardly ran proves nothing.
    expect(passed).toBeGreaterThan(3500);
  },
);
