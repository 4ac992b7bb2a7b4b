import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, lacksX64Calls, PROBE, RUNTIME } from '../kit/bundle.ts';
import { createContainer } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/**
 * The runtime where one system call is missing, as on an old kernel or under another engine's filter: it either does all it does
 * otherwise, or refuses, names the call, and leaves nothing. It never takes a weaker way.
 */
const OTHER_NUMBERS = lacksX64Calls();

const shop = workshopOfFile();

const NEEDED: Readonly<Record<string, number>> = {
  memfd_create: 319,
  execveat: 322,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  mount_setattr: 442,
  pivot_root: 155,
};
const DISPENSABLE: Readonly<Record<string, number>> = {
  copy_file_range: 326,
  statx: 332,
  keyctl: 250,
  faccessat2: 439,
  rseq: 334,
  prlimit64: 302,
};

function without(numbers: readonly number[], bundle: Bundle, ...words: string[]): Promise<RunResult> {
  const [verb = '', ...rest] = words;
  const home = verb === 'run' || verb === 'create' ? ['--bundle', bundle.directory] : [];
  return runProgram(PROBE, ['without', numbers.join(','), RUNTIME, ...bundle.options, verb, ...home, ...rest]);
}

/** One that uses most of the runtime: binds, devices, masks, a filter, a hostile image. */
function busy(words: readonly string[]): Bundle {
  const source = join(shop.directory, 'source');
  mkdirSync(source, { recursive: true });
  const bundle = shop.bundle(words, (config) => {
    config.mounts.push({ destination: '/link/data', type: 'bind', source, options: ['rbind', 'rro', 'nosuid'] });
    config.linux['seccomp'] = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
    };
    config.process.cwd = '/link';
  });
  mkdirSync(join(bundle.rootfs, 'inside'));
  symlinkSync('/../../inside', join(bundle.rootfs, 'link'));
  return bundle;
}

const EXPECTED = 'cwd: /inside\nmkdir: Operation not supported\nwrite /inside/data/x: Read-only file system\n';
const WORDS = ['echo', 'cwd:', 'cwd', 'mkdir', '/x', 'write', '/inside/data/x', 'x'];
const shown = (text: string) => text.replace('cwd:\n', 'cwd: ');

async function startedPause(): Promise<{ bundle: Bundle; pid: number }> {
  const bundle = shop.bundle(['pause']);
  const { pid } = await createContainer(bundle);
  await bundle.runtime('start', bundle.id);
  return { bundle, pid };
}

describe.skipIf(OTHER_NUMBERS)('run', () => {
  test.each(Object.keys(NEEDED))('refuses without %s, and names it', async (name) => {
    const bundle = busy(WORDS);
    const result = await without([NEEDED[name] ?? -1], bundle, 'run', bundle.id);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`system call ${name}( \\(Linux [\\d.]+\\))? is missing`));
    expect(shop.leftovers()).toEqual([]);
  });

  test.each([...Object.keys(DISPENSABLE), 'pidfd_open', 'pidfd_send_signal'])(
    'without %s is the same',
    async (name) => {
      const bundle = busy(WORDS);
      const number = { ...DISPENSABLE, pidfd_open: 434, pidfd_send_signal: 424 }[name] ?? -1;
      const result = await without([number], bundle, 'run', bundle.id);
      expect(result).toMatchObject({ status: 0, stderr: '' });
      expect(shown(result.stdout)).toBe(EXPECTED);
      expect(shop.leftovers()).toEqual([]);
    },
  );

  test('without seccomp starts nothing unfiltered', async () => {
    const bundle = busy(WORDS);
    const result = await without([317], bundle, 'run', bundle.id);
    expect(result).toMatchObject({ status: 126, stdout: '' });
    expect(result.stderr).toContain('cannot load the seccomp program: Function not implemented');
    expect(shop.leftovers()).toEqual([]);
  });

  test('without any of them says so at once', async () => {
    const bundle = busy(WORDS);
    const result = await without(Object.values(NEEDED), bundle, 'run', bundle.id);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toContain('is missing');
    expect(shop.leftovers()).toEqual([]);
  });
});

describe.skipIf(OTHER_NUMBERS)('a running container', () => {
  test.each([
    { name: 'openat2', number: 437 },
    { name: 'clone3', number: 435 },
    { name: 'pidfd_open', number: 434 },
    { name: 'close_range', number: 436 },
    { name: 'execveat', number: 322 },
  ])('is not entered without $name', async ({ name, number }) => {
    const { bundle } = await startedPause();
    const result = await without([number], bundle, 'exec', bundle.id, '/bin/payload', 'echo', 'in');
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toContain(`system call ${name} (`);
    expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0 });
  });

  test.each([
    { name: 'pidfd_open', number: 434 },
    { name: 'pidfd_send_signal', number: 424 },
  ])('stays a running one without $name, and is not lost', async ({ name, number }) => {
    const { bundle, pid } = await startedPause();
    expect((await without([number], bundle, 'state', bundle.id)).stdout).toContain('"running"');
    for (const words of [
      ['kill', bundle.id, 'KILL'],
      ['delete', '--force', bundle.id],
    ]) {
      const result = await without([number], bundle, ...words);
      expect(result.status, words.join(' ')).toBe(1);
      expect(result.stderr).toContain(`system call ${name} (`);
    }
    process.kill(pid, 0);
    expect((await bundle.runtime('state', bundle.id)).stdout).toContain('"running"');
    expect(await bundle.runtime('delete', '--force', bundle.id)).toMatchObject({ status: 0 });
    expect(shop.leftovers()).toEqual([]);
  });
});
