import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Config, statusOf } from '../kit/bundle.ts';
import { workshopOfFile } from '../kit/workshop.ts';
import { containersOf } from './containers.ts';

/** What the first process may do, and what it starts with. */
const shop = workshopOfFile();
const { created, inside } = containersOf(shop);

describe('privileges', () => {
  test('capabilities, no_new_privs, seccomp and ids are what was asked', async () => {
    const text = await inside(['status'], (config) => {
      config.process.user = { uid: 1000, gid: 1001, additionalGids: [5, 7], umask: 0o27 };
      config.process['capabilities'] = {
        bounding: ['CAP_CHOWN', 'CAP_KILL'],
        effective: ['CAP_CHOWN'],
        permitted: ['CAP_CHOWN'],
        inheritable: ['CAP_CHOWN'],
        ambient: ['CAP_CHOWN'],
      };
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat', 'not_a_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    expect(statusOf(text)).toMatchObject({
      Uid: '1000\t1000\t1000\t1000',
      Gid: '1001\t1001\t1001\t1001',
      Groups: '5 7 1001',
      Umask: '0027',
      CapInh: '0000000000000001',
      CapPrm: '0000000000000001',
      CapEff: '0000000000000001',
      CapBnd: '0000000000000021',
      CapAmb: '0000000000000001',
      NoNewPrivs: '1',
      Seccomp: '2',
      Seccomp_filters: '1',
    });
  });

  test('without no_new_privs the filter still holds, and root keeps nothing inheritable', async () => {
    const text = await inside(['status', 'mkdir', '/x'], (config) => {
      config.process['noNewPrivileges'] = false;
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    expect(statusOf(text)).toMatchObject({
      CapInh: '0000000000000000',
      CapAmb: '0000000000000000',
      NoNewPrivs: '0',
      Seccomp: '2',
    });
    expect(text).toContain('mkdir: Operation not supported');
  });

  test('a profile that allows next to nothing does not hinder the set-up', async () => {
    const text = await inside(['echo', 'alive'], (config) => {
      const names = [
        'execve',
        'write',
        'exit_group',
        'brk',
        'arch_prctl',
        'set_tid_address',
        'set_robust_list',
        'rseq',
      ];
      names.push('prlimit64', 'readlink', 'readlinkat', 'getrandom', 'mprotect', 'newfstatat', 'fstat');
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_KILL_PROCESS',
        syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }],
      };
    });
    expect(text).toBe('alive\n');
  });

  test('exec gets the filter of its container', async () => {
    const { bundle } = await created((config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
      };
    });
    await bundle.runtime('start', bundle.id);
    const { stdout } = await bundle.runtime('exec', bundle.id, '/bin/payload', 'mkdir', '/x');
    expect(stdout).toBe('mkdir: Operation not supported\n');
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('a seccomp program is compiled once, and anew when it was damaged', async () => {
    const profile = (config: Config) => {
      config.linux['seccomp'] = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 90 }],
      };
    };
    await inside(['mkdir', '/x'], profile);
    const cache = join(shop.directory, 'state/.seccomp');
    expect(statSync(cache).mode & 0o777).toBe(0o700);
    const before = readdirSync(cache);
    await inside(['mkdir', '/x'], profile);
    expect(readdirSync(cache)).toEqual(before);
    for (const name of readdirSync(cache)) {
      const bytes = readFileSync(join(cache, name));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      writeFileSync(join(cache, name), bytes);
    }
    expect(await inside(['mkdir', '/x'], profile)).toBe('mkdir: Message too long\n');
  });

  test('limits, environment, working directory', async () => {
    const text = await inside(['rlimit', 'env', 'cwd', 'stat', '/srv/made'], (config) => {
      config.process['rlimits'] = [{ type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 }];
      config.process['cwd'] = '/srv/made';
    });
    expect(text).toContain('nofile 512 1024\nPATH=/bin\nHOME=/root\n/srv/made\nstat /srv/made: mode=40755');
  });

  test('only the three standard descriptors reach the process', async () => {
    expect((await inside(['fds'])).match(/^fd \d+/gm)).toEqual(['fd 0', 'fd 1', 'fd 2']);
  });
});
