import { createHash } from 'node:crypto';
import { chownSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { ATTACK, type Bundle, type Config, RUNTIME, statusOf } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { createContainer, listenForConsole } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';

/** A container that works against whoever enters it, and what must not come in with the one that enters. */
const shop = workshopOfFile();
const digest = () => createHash('sha256').update(readFileSync(RUNTIME)).digest('hex');
const before = digest();
afterAll(() => {
  expect(digest()).toBe(before);
});

const TRACER = ['CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_KILL', 'CAP_SETUID', 'CAP_SETGID'];

function attacking(words: readonly string[], change: (config: Config) => void = () => undefined): Bundle {
  const bundle = shop.bundle([], (config) => {
    config.process.args = ['/bin/attack', ...words];
    config.process['noNewPrivileges'] = false;
    config.process['capabilities'] = { bounding: TRACER, effective: TRACER, permitted: TRACER };
    change(config);
  });
  copyFileSync(ATTACK, join(bundle.rootfs, 'bin/attack'));
  return bundle;
}

/** A created and started container whose output is read from a file. */
async function started(bundle: Bundle): Promise<{ said: () => string }> {
  const { output } = await createContainer(bundle);
  expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  return { said: output };
}

const remove = (bundle: Bundle) => bundle.runtime('delete', '--force', bundle.id);

describe('process 1 with the right to trace', () => {
  test('sees nothing of the host in any process that enters (CVE-2016-9962)', async () => {
    const bundle = attacking(['spy', '4']);
    const { said } = await started(bundle);
    await until('the spy', () => said().includes('spying'));
    const pidFile = join(bundle.directory, 'pid');
    for (let round = 0; !said().includes('looked'); round++) {
      const result = await runProgram(
        RUNTIME,
        [...bundle.options, 'exec', '--pid-file', pidFile, bundle.id, '/bin/payload', 'true'],
        { environment: { PASSWORD: 'SECRET of the host' }, cwd: bundle.directory },
      );
      if (!said().includes('looked')) expect(result, `round ${round}`).toMatchObject({ status: 0, stderr: '' });
    }
    expect(said()).not.toContain('seen');
    expect(Number(/looked (\d+) times/.exec(said())?.[1])).toBeGreaterThan(20);
    await remove(bundle);
  });

  test('cannot write to the binary that enters, while it runs or after (CVE-2019-5736)', async () => {
    const bundle = attacking(['exe', '4']);
    const { said } = await started(bundle);
    await until('the attack', () => said().includes('writing'));
    while (!said().includes('looked')) await bundle.runtime('exec', bundle.id, '/bin/payload', 'true');
    expect(said()).not.toContain('write: ok');
    expect(digest()).toBe(before);
    await remove(bundle);
  });

  test('nor make it the interpreter of its own entrypoint', async () => {
    const bundle = attacking([], (config) => {
      config.process.args = ['/evil', 'delete', '--force', 'everything'];
    });
    writeFileSync(join(bundle.rootfs, 'evil'), '#!/proc/self/exe\n', { mode: 0o755 });
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).not.toBe(0);
    expect(digest()).toBe(before);
    expect(shop.leftovers()).toEqual([]);
  });
});

describe('what comes in with exec', () => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = attacking([], (config) => {
      config.process.args = ['/bin/payload', 'pause'];
      delete (config.process as Record<string, unknown>)['capabilities'];
      config.process['capabilities'] = { bounding: TRACER, effective: TRACER, permitted: TRACER, inheritable: TRACER };
    });
    for (let fd = 3; fd <= 64; fd++) symlinkSync(`/proc/self/fd/${fd}`, join(bundle.rootfs, `fd${fd}`));
    writeFileSync(join(bundle.rootfs, 'denied'), 'for others only', { mode: 0o604 });
    chownSync(join(bundle.rootfs, 'denied'), 0, 1001);
    await started(bundle);
  });
  afterAll(async () => {
    await remove(bundle);
  });

  test('no working directory through a descriptor (CVE-2024-21626)', async () => {
    for (let fd = 3; fd <= 64; fd++)
      for (const cwd of [`/proc/self/fd/${fd}`, `/fd${fd}`, `/proc/self/fd/${fd}/../../..`]) {
        const result = await bundle.runtime('exec', '--cwd', cwd, bundle.id, '/bin/payload', 'cwd');
        expect(result, cwd).toMatchObject({ status: 1, stdout: '' });
        expect(result.stderr).toContain('enter working directory');
      }
  });

  test('nothing when the container has used up its processes, and that is said', async () => {
    const full = shop.bundle(['pause'], (config) => {
      config.linux.resources = { pids: { limit: 2 } };
    });
    await started(full);
    const result = await full.runtime('exec', full.id, '/bin/payload', 'true');
    expect(result.status).toBe(1);
    expect(result.stderr).toContain("the container's pids limit leaves no room for two");
    await remove(full);
  });

  test('no descriptor but the standard ones', async () => {
    const exec = [RUNTIME, ...bundle.options, 'exec', bundle.id, '/bin/payload', 'fds'];
    const { stdout } = await runProgram('/bin/bash', [
      '--norc',
      '-c',
      'exec 7</ 19</proc 33</tmp; "$@"',
      'bash',
      ...exec,
    ]);
    expect(stdout.match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
  });

  test('no inheritable capability, unless the configuration says so (CVE-2022-24769)', async () => {
    const inherited = async (...words: string[]) =>
      statusOf((await bundle.runtime('exec', ...words, bundle.id, '/bin/payload', 'status')).stdout)['CapInh'];
    expect(await inherited('--cap', 'CAP_SYS_ADMIN')).toBe('00000000000800e6');
    const plain = shop.bundle(['status']);
    const { stdout } = await plain.runtime('run', plain.id);
    expect(statusOf(stdout)).toMatchObject({ CapInh: '0000000000000000', CapAmb: '0000000000000000' });
  });

  test('the primary group counts against the user (CVE-2022-36109)', async () => {
    const open = (user: string) =>
      bundle.runtime('exec', '--user', user, '--cap', 'CAP_KILL', bundle.id, '/bin/payload', 'id', 'cat', '/denied');
    const process = (uid: number, gid: number, additionalGids: number[]) => {
      const file = join(bundle.directory, `process-${uid}-${gid}.json`);
      writeFileSync(
        file,
        JSON.stringify({
          args: ['/bin/payload', 'id', 'cat', '/denied'],
          cwd: '/',
          user: { uid, gid, additionalGids },
        }),
      );
      return bundle.runtime('exec', '--process', file, bundle.id);
    };
    expect((await process(1000, 1001, [])).stdout).toContain('groups=1001 ');
    expect((await process(1000, 1001, [])).stdout).toContain('open /denied: Permission denied');
    expect((await process(1001, 1000, [1001])).stdout).toContain('open /denied: Permission denied');
    expect((await process(1002, 1002, [])).stdout).toContain('for others only');
    expect((await open('0')).stdout).toContain('for others only');
  });

  test.each([
    { user: '4294967295', says: 'expected UID' },
    { user: '4294967296', says: 'expected UID' },
    { user: '-1', says: 'expected UID' },
    { user: '1:4294967295', says: 'expected UID' },
    { user: '1:', says: 'expected UID' },
    { user: ':', says: 'expected UID' },
    { user: ':0', says: 'expected UID' },
    { user: '', says: 'expected UID' },
    { user: 'root', says: 'expected UID' },
    { user: '0x0', says: 'expected UID' },
    { user: ' 0', says: 'expected UID' },
    { user: '1 ', says: 'expected UID' },
    { user: '+1', says: 'expected UID' },
    { user: '99999999999999999999', says: 'expected UID' },
  ])('user $user is refused, never root (CVE-2024-40635)', async ({ user, says }) => {
    const result = await bundle.runtime('exec', `--user=${user}`, bundle.id, '/bin/payload', 'id');
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toContain(says);
  });

  test.each([
    { user: '1', is: 'uid=1 gid=0' },
    { user: '007', is: 'uid=7 gid=0' },
    { user: '1:2', is: 'uid=1 gid=2' },
    { user: '4294967294:4294967294', is: 'uid=4294967294 gid=4294967294' },
  ])('user $user is exactly that', async ({ user, is }) => {
    expect((await bundle.runtime('exec', '--user', user, bundle.id, '/bin/payload', 'id')).stdout).toContain(is);
  });
});

describe('keys of the caller', () => {
  const withKey = (bundle: Bundle, ...words: string[]): Promise<RunResult> =>
    runProgram(ATTACK, ['with-key', 'tsc-test-key', RUNTIME, ...bundle.options, ...words]);

  test('are invisible inside', async () => {
    const bundle = attacking(['keys']);
    const result = await withKey(bundle, 'run', '--bundle', bundle.directory, bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain(`;${bundle.id}\n`);
    expect(result.stdout).not.toContain('tsc-test-key');
  });

  test('also for what is executed later', async () => {
    const bundle = attacking([], (config) => {
      config.process.args = ['/bin/payload', 'pause'];
    });
    await started(bundle);
    const result = await withKey(bundle, 'exec', bundle.id, '/bin/attack', 'keys');
    expect(result.stdout).toContain('keyring ');
    expect(result.stdout).not.toContain('tsc-test-key');
    await remove(bundle);
  });

  test('are there when --no-new-keyring asks for it', async () => {
    const bundle = attacking(['keys']);
    const result = await withKey(bundle, 'run', '--no-new-keyring', '--bundle', bundle.directory, bundle.id);
    expect(result.stdout).toContain('tsc-test-key');
  });
});

describe('terminals', () => {
  test('the caller’s takes no input from the container (CVE-2017-5226)', async () => {
    const bundle = attacking(['inject', 'echo injected']);
    const run = [RUNTIME, ...bundle.options, 'run', '--bundle', bundle.directory, bundle.id].join(' ');
    const { stdout } = await runProgram('/usr/bin/script', ['--quiet', '--return', '--command', run, '/dev/null']);
    expect(stdout).toMatch(/inject: (Operation not permitted|Input\/output error)/);
  });

  test('one of its own is on a devpts of its own, whatever the image has there (CVE-2025-52565)', async () => {
    const bundle = shop.bundle(['tty', 'stat', '/dev/console', 'stat', '/dev/pts/0', 'mounts'], (config) => {
      config.process['terminal'] = true;
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
    });
    mkdirSync(join(bundle.rootfs, 'dev/pts'), { recursive: true });
    for (const name of ['pts/0', 'pts/ptmx'])
      symlinkSync('/proc/sys/kernel/core_pattern', join(bundle.rootfs, 'dev', name));
    const socket = await listenForConsole(bundle);
    const result = await bundle.runtime('run', '--console-socket', socket.path, bundle.id);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    const { stdout: shown } = await socket.ended;
    expect(shown).toMatch(/\/dev\/console: mode=20\d+ uid=0 gid=\d+ rdev=136:0/);
    expect(shown).toMatch(/\/dev\/pts\/0: mode=20\d+ .*rdev=136:0/);
    expect(shown).toMatch(/ \/dev\/console rw.* - devpts /);
  });

  test('/dev/console as a link of the image is refused (CVE-2025-52565)', async () => {
    const bundle = shop.bundle(['tty'], (config) => {
      config.process['terminal'] = true;
      config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev');
    });
    mkdirSync(join(bundle.rootfs, 'dev'));
    symlinkSync('/proc/sys/kernel/core_pattern', join(bundle.rootfs, 'dev/console'));
    const socket = await listenForConsole(bundle);
    const result = await bundle.runtime('run', '--console-socket', socket.path, bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('refused: /dev/console of the container is not a file');
    expect((await socket.ended).stderr).toContain('no descriptor came');
  });
});
