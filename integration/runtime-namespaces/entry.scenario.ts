import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { ATTACK, type Bundle, RUNTIME } from '../kit/bundle.ts';
import { Containers, FIRST_ID, giveTree, withUsers } from './containers.ts';

/** Process 1 of a user namespace, with every right in it, works against whoever enters. */
let containers: Containers;
const digest = () => createHash('sha256').update(readFileSync(RUNTIME)).digest('hex');
const before = digest();
beforeAll(() => {
  containers = new Containers();
});
afterAll(async () => {
  await containers.close();
  expect(digest()).toBe(before);
});

const ALL = [
  'CAP_SYS_PTRACE',
  'CAP_SYS_ADMIN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_KILL',
  'CAP_SETUID',
  'CAP_SETGID',
];

async function attacked(words: readonly string[]): Promise<{ bundle: Bundle; said: () => string }> {
  const bundle = containers.bundle([], (config) => {
    withUsers(config);
    config.process.args = ['/bin/attack', ...words];
    config.process['noNewPrivileges'] = false;
    config.process['capabilities'] = { bounding: ALL, effective: ALL, permitted: ALL };
  });
  copyFileSync(ATTACK, join(bundle.rootfs, 'bin/attack'));
  giveTree(bundle.rootfs, FIRST_ID);
  const { output } = await containers.created(bundle);
  await bundle.runtime('start', bundle.id);
  return { bundle, said: output };
}

describe('whoever enters a user namespace', () => {
  test('shows nothing of the host to one that traces (CVE-2016-9962)', async () => {
    const { bundle, said } = await attacked(['spy', '4']);
    await expect.poll(said, { timeout: 10_000 }).toContain('spying');
    const exec = [...bundle.options, 'exec', bundle.id, '/bin/payload', 'true'];
    for (let round = 0; !said().includes('looked'); round++) {
      const result = await runProgram(RUNTIME, exec, {
        environment: { PASSWORD: 'SECRET of the host' },
        cwd: bundle.directory,
      });
      if (!said().includes('looked')) expect(result, `round ${round}`).toMatchObject({ status: 0, stderr: '' });
    }
    expect(said()).not.toContain('seen');
    await bundle.runtime('delete', '--force', bundle.id);
  });

  test('cannot have its binary written (CVE-2019-5736)', async () => {
    const { bundle, said } = await attacked(['exe', '4']);
    await expect.poll(said, { timeout: 10_000 }).toContain('writing');
    while (!said().includes('looked')) await bundle.runtime('exec', bundle.id, '/bin/payload', 'true');
    expect(said()).not.toContain('write: ok');
    expect(digest()).toBe(before);
    await bundle.runtime('delete', '--force', bundle.id);
  });
});
