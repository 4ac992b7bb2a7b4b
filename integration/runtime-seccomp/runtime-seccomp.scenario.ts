import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ALL_CAPABILITIES, chooseCapabilities, defaultSeccompProfile } from '../../src/engine/runtime/index.ts';
import { type RunResult, runProgram } from '../../src/host/index.ts';
import { type Bundle, type Config, FIRST, lacksX64Calls, PROBE } from '../kit/bundle.ts';
import { until } from '../kit/keeper.ts';
import { callDetached, createContainer } from '../kit/oci-container.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { compareWithGolden } from './golden.ts';

const OTHER_NUMBERS = lacksX64Calls();

const shop = workshopOfFile();

/** The capabilities of a container that asks for nothing. */
const DEFAULT = chooseCapabilities({ privileged: false, add: [], drop: [], available: ALL_CAPABILITIES });

/** A bundle of the prober under a profile, without no_new_privs unless changed. */
function probing(
  words: readonly string[],
  profile: unknown,
  change: (config: Config) => void = () => undefined,
): Bundle {
  const bundle = shop.bundle([], (config) => {
    config.process.args = ['/bin/probe', ...words];
    config.process['noNewPrivileges'] = false;
    config.linux['seccomp'] = profile;
    change(config);
  });
  copyFileSync(PROBE, join(bundle.rootfs, 'bin/probe'));
  copyFileSync(FIRST, join(bundle.rootfs, 'bin/first'));
  return bundle;
}

async function inside(words: readonly string[], profile: unknown, change?: (config: Config) => void): Promise<string> {
  const bundle = probing(words, profile, change);
  const result = await bundle.runtime('run', bundle.id);
  expect(result).toMatchObject({ status: 0, stderr: '' });
  return result.stdout;
}

const errnoFor = (names: string[], errnoRet: number) => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names, action: 'SCMP_ACT_ERRNO', errnoRet }],
});

describe.skipIf(OTHER_NUMBERS)('the default policy', () => {
  const policy = defaultSeccompProfile(new Set(DEFAULT), 'x64');

  test('answers every call of three ABIs as the golden table says', async () => {
    expect(compareWithGolden(await inside(['table'], policy))).toEqual([]);
  });

  test.each([
    // socket: every family but AF_ALG and AF_VSOCK
    { call: ['41', '2'], answer: 'allow' },
    { call: ['41', '37'], answer: 'allow' },
    { call: ['41', '38'], answer: 'EPERM' },
    { call: ['41', '39'], answer: 'allow' },
    { call: ['41', '40'], answer: 'EPERM' },
    { call: ['41', '41'], answer: 'allow' },
    // clone: no namespace of its own
    { call: ['56', '0x11'], answer: 'allow' },
    { call: ['56', '0x3d0f00'], answer: 'allow' },
    ...['0x20000', '0x2000000', '0x4000000', '0x8000000', '0x10000000', '0x20000000', '0x40000000'].map((flag) => ({
      call: ['56', flag],
      answer: 'EPERM',
    })),
    { call: ['56', '0x7e020011'], answer: 'EPERM' },
    // personality: nothing that weakens address randomisation
    { call: ['135', '0xffffffff'], answer: 'allow' },
    { call: ['135', '0x20008'], answer: 'allow' },
    { call: ['135', '0x40000'], answer: 'ENOSYS' },
  ])('x86_64 call $call: $answer', async ({ call, answer }) => {
    expect(await inside(['ask', 'x86_64', ...call], policy)).toBe(`${answer}\n`);
  });

  test.each([
    { abi: 'i386', call: ['359', '38'], answer: 'EPERM' },
    { abi: 'i386', call: ['359', '40'], answer: 'EPERM' },
    { abi: 'i386', call: ['120', '0x10000000'], answer: 'EPERM' },
    { abi: 'x32', call: ['41', '38'], answer: 'EPERM' },
    { abi: 'x32', call: ['56', '0x10000000'], answer: 'EPERM' },
  ])('$abi call $call: $answer', async ({ abi, call, answer }) => {
    expect(await inside(['ask', abi, ...call], policy)).toBe(`${answer}\n`);
  });
});

describe.skipIf(OTHER_NUMBERS)('a filter is active at the first instruction', () => {
  test.each([
    { noNewPrivileges: true, uid: 0 },
    { noNewPrivileges: false, uid: 0 },
    { noNewPrivileges: true, uid: 1000 },
    { noNewPrivileges: false, uid: 1000 },
  ])('%j', async ({ noNewPrivileges, uid }) => {
    const bundle = probing([], errnoFor(['getppid'], 77), (config) => {
      config.process.args = ['/bin/first'];
      config.process['noNewPrivileges'] = noNewPrivileges;
      config.process.user = { uid, gid: uid };
    });
    expect(await bundle.runtime('run', bundle.id)).toMatchObject({ status: 77, stderr: '' });
  });

  test('in a process that is executed later, too', async () => {
    const bundle = await started(errnoFor(['getppid'], 78));
    expect(await bundle.runtime('exec', bundle.id, '/bin/first')).toMatchObject({ status: 78 });
    expect(await bundle.runtime('exec', '--no-new-privs', bundle.id, '/bin/first')).toMatchObject({ status: 78 });
    await bundle.runtime('delete', '--force', bundle.id);
  });
});

describe.skipIf(OTHER_NUMBERS)('calls newer than the installed libseccomp', () => {
  test.each([
    { name: 'cachestat', number: 451 },
    { name: 'mseal', number: 462 },
    { name: 'setxattrat', number: 463 },
    { name: 'listns', number: 470 },
  ])('$name has its rule', async ({ name, number }) => {
    expect(await inside(['call', String(number)], errnoFor([name], 95))).toBe(
      `call ${number}: Operation not supported\n`,
    );
  });

  test('are as if the kernel lacked them when the profile is older than they are', async () => {
    const profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: olderNames(), action: 'SCMP_ACT_ALLOW' }],
    };
    expect(await inside(['call', '462'], profile)).toBe('call 462: Function not implemented\n');
    expect(await inside(['call', '165'], profile)).toBe('call 165: Operation not permitted\n');
  });

  test('a name that nobody knows is told to those who debug, and is no error', async () => {
    const bundle = probing(['call', '39'], errnoFor(['no_such_call', 'mkdir'], 95));
    const { stderr } = await bundle.runtime('--debug', 'run', bundle.id);
    expect(stderr).toContain('no rule for calls that nobody here knows: no_such_call\n');
  });
});

/** What the default policy allows whatever the arguments, without the calls that came after 5.17. */
function olderNames(): string[] {
  const policy = defaultSeccompProfile(new Set(DEFAULT), 'x64');
  const newer = /^(cachestat|fchmodat2|map_shadow|futex_w|futex_r|statmount|listmount|mseal|.*xattrat|u(ret)?probe)/;
  return policy.syscalls
    .filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined)
    .flatMap(({ names }) => names)
    .filter((name) => !newer.test(name));
}

/** A created container of the payload that waits, started. */
async function started(profile: unknown, change: (config: Config) => void = () => undefined): Promise<Bundle> {
  const bundle = probing([], profile, (config) => {
    config.process.args = ['/bin/payload', 'pause'];
    change(config);
  });
  expect(await callDetached(bundle, 'create', [bundle.id])).toMatchObject({ status: 0, stderr: '' });
  expect(await bundle.runtime('start', bundle.id)).toMatchObject({ status: 0, stderr: '' });
  return bundle;
}

describe.skipIf(OTHER_NUMBERS)('SCMP_ACT_NOTIFY', () => {
  const notifying = (socket: string) => ({
    defaultAction: 'SCMP_ACT_ALLOW',
    listenerPath: socket,
    listenerMetadata: 'who "asked"',
    flags: ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'],
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }],
  });
  const parse = (text: string) => JSON.parse(text.split('\n')[0] ?? '') as Record<string, unknown>;

  test.each([true, false])('run and exec hand over a listener, no_new_privs %j', async (noNewPrivileges) => {
    const socket = join(shop.directory, `listener-${noNewPrivileges}`);
    const { answered } = await listen(socket);
    const bundle = probing(['call', '83', '0'], notifying(socket), (config) => {
      config.process['noNewPrivileges'] = noNewPrivileges;
      config.annotations['some'] = 'note';
    });
    const { pid, output, stderr } = await createContainer(bundle);
    expect(stderr).toBe('');
    await bundle.runtime('start', bundle.id);
    const text = (await answered).stdout;
    expect(text).toContain('notified 83 by');
    expect(parse(text)).toEqual({
      ociVersion: '1.0.2',
      fds: ['seccompFd'],
      pid,
      metadata: 'who "asked"',
      state: {
        ociVersion: '1.0.2',
        id: bundle.id,
        status: 'creating',
        pid,
        bundle: bundle.directory,
        annotations: { some: 'note' },
      },
    });
    await until('the answer', () => output() !== '');
    expect(output()).toBe('call 83: Operation not supported\n');
    await bundle.runtime('delete', '--force', bundle.id);
    rmSync(socket);
  });

  test('exec has a listener of its own', async () => {
    const socket = join(shop.directory, 'listener-exec');
    const first = await listen(socket);
    const bundle = await started(notifying(socket));
    rmSync(socket);
    const second = await listen(socket);
    const result = await bundle.runtime('exec', bundle.id, '/bin/probe', 'call', '83', '0');
    expect(result).toMatchObject({ status: 0, stdout: 'call 83: Operation not supported\n', stderr: '' });
    const { stdout } = await second.answered;
    const state = parse(stdout);
    expect(state).toMatchObject({ metadata: 'who "asked"', state: { id: bundle.id, status: 'running' } });
    expect(stdout).toContain(`notified 83 by ${String(state['pid'])}\n`);
    expect(state['pid']).not.toBe((state['state'] as { pid: number }).pid);
    await bundle.runtime('delete', '--force', bundle.id);
    expect((await first.answered).stdout).toContain('the last process is gone');
  });

  /** Comes back when it listens; `answered` when it has answered one call, or nobody is left to make one. */
  async function listen(socket: string): Promise<{ answered: Promise<RunResult> }> {
    const answered = runProgram(PROBE, ['listen', socket, '1', '95']);
    await until('the listener', () => existsSync(socket));
    return { answered };
  }

  test('nobody listening fails the creation and leaves nothing', async () => {
    const bundle = probing(['call', '39'], notifying(join(shop.directory, 'nobody')));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(
      `cannot connect to seccomp listener ${join(shop.directory, 'nobody')}: No such file`,
    );
    expect(shop.leftovers()).toEqual([]);
  });

  test('a profile that forbids to hand the listener over is told so', async () => {
    const socket = join(shop.directory, 'listener-mute');
    const { answered } = await listen(socket);
    const profile = notifying(socket);
    const bundle = probing(['call', '39'], {
      ...profile,
      syscalls: [...profile.syscalls, { names: ['sendmsg'], action: 'SCMP_ACT_ERRNO' }],
    });
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('a seccomp profile with a listener must allow sendmsg');
    expect((await answered).stderr).toContain('no descriptor came');
    expect(shop.leftovers()).toEqual([]);
  });

  test.each([
    { change: { defaultAction: 'SCMP_ACT_NOTIFY' }, why: 'SCMP_ACT_NOTIFY cannot be the default' },
    { change: { listenerPath: '', listenerMetadata: '' }, why: 'SCMP_ACT_NOTIFY needs listenerPath' },
    {
      change: { syscalls: [{ names: ['sendmsg'], action: 'SCMP_ACT_NOTIFY' }] },
      why: 'SCMP_ACT_NOTIFY cannot be used for sendmsg',
    },
  ])('is refused where it would hang: $why', async ({ change, why }) => {
    const bundle = probing(['call', '39'], { ...notifying('/run/nobody'), ...change });
    const result = await bundle.runtime('run', bundle.id);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(why);
  });
});

describe.skipIf(OTHER_NUMBERS)('compiled programs are kept', () => {
  const cache = () => join(shop.directory, 'state/.seccomp');
  const refuses = async (number: number) =>
    inside(['call', '39'], errnoFor(['getpid'], number), (config) => {
      config.process['noNewPrivileges'] = true;
    });

  test('one per profile, and only for ourselves', async () => {
    rmSync(cache(), { recursive: true, force: true });
    await refuses(90);
    await refuses(90);
    await refuses(91);
    expect(readdirSync(cache())).toHaveLength(2);
    for (const name of readdirSync(cache())) expect(statSync(join(cache(), name)).mode & 0o7777).toBe(0o600);
  });

  test.each([
    { what: 'cut off', harm: (file: string) => writeFileSync(file, readFileSync(file).subarray(0, 150)) },
    { what: 'empty', harm: (file: string) => writeFileSync(file, '') },
    { what: 'of another user', harm: (file: string) => chownSync(file, 1234, 1234) },
    { what: 'open to others', harm: (file: string) => chmodSync(file, 0o666) },
    {
      what: 'a link',
      harm: (file: string) => {
        writeFileSync(`${file}-aside`, readFileSync(file), { mode: 0o600 });
        rmSync(file);
        symlinkSync(`${file}-aside`, file);
      },
    },
    { what: 'full of zeros', harm: (file: string) => writeFileSync(file, Buffer.alloc(4096)) },
  ])('one that is $what is made anew', async ({ harm }) => {
    rmSync(cache(), { recursive: true, force: true });
    await refuses(90);
    const [name = ''] = readdirSync(cache());
    const file = join(cache(), name);
    const good = readFileSync(file);
    harm(file);
    expect(await refuses(90)).toBe('call 39: Message too long\n');
    expect(readFileSync(file)).toEqual(good);
    expect(statSync(file)).toMatchObject({ uid: 0, gid: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test.each([
    { what: 'of another user', harm: (path: string) => chownSync(path, 1234, 1234) },
    { what: 'open to others', harm: (path: string) => chmodSync(path, 0o770) },
    {
      what: 'a link',
      harm: (path: string) => {
        const aside = `${path}-aside`;
        rmSync(path, { recursive: true });
        mkdirSync(aside, { mode: 0o700, recursive: true });
        symlinkSync(aside, path);
      },
    },
  ])('a directory that is $what is not used', async ({ harm }) => {
    rmSync(cache(), { recursive: true, force: true });
    await refuses(90);
    const before = readdirSync(cache());
    harm(cache());
    const bundle = probing(['call', '39'], errnoFor(['getpid'], 97));
    const result = await bundle.runtime('run', bundle.id);
    expect(result.stdout).toBe('call 39: Address family not supported by protocol\n');
    expect(result.stderr).toContain('not a directory of ours alone');
    expect(readdirSync(cache()).filter((name) => !before.includes(name))).toEqual([]);
    rmSync(cache(), { recursive: true, force: true });
  });

  test('sixteen writers at once agree', async () => {
    rmSync(cache(), { recursive: true, force: true });
    const said = await Promise.all(Array.from({ length: 16 }, () => refuses(90)));
    expect(new Set(said)).toEqual(new Set(['call 39: Message too long\n']));
    expect(readdirSync(cache())).toHaveLength(1);
  });
});
