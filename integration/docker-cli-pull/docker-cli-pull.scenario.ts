import { mkdtempSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { busyboxRootfsBytes } from '../kit/images.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';
import { makeRegistryImage, push, startRegistry, type TestRegistry } from '../kit/registry.ts';

const LOGIN = { username: 'someone', password: 'open sesame' };
const CLIENTS = [
  ['28.5', await peer('docker-cli-28')],
  ['20.10', await peer('docker-cli-20')],
] as const;

describe.each(CLIENTS)('docker CLI %s pulls from a real registry', (_version, found) => {
  const program = 'path' in found ? found.path : '';
  let daemon: TestDaemon;
  let registry: TestRegistry;
  let home: string;
  let name: string;
  const docker = (...args: string[]) => runPeer(program, args, { host: daemon.host, home });

  beforeAll(async () => {
    expect(program, 'the client is needed for this duty').not.toBe('');
    home = mkdtempSync('/tmp/tsc-home-');
    [daemon, registry] = await Promise.all([startTestDaemon(), startRegistry({ login: LOGIN })]);
    const image = makeRegistryImage([await busyboxRootfsBytes()], { run: { Cmd: ['echo', 'pulled'] } });
    const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`;
    await push(registry.host, 'team/app', { images: [image], tag: '1', top: image.manifest }, authorization);
    name = `${registry.host}/team/app:1`;
  });

  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    const left = await daemon.stop();
    rmSync(home, { recursive: true });
    expect(leftovers(left)).toEqual([]);
  });

  it('is told that a login is needed', async () => {
    const result = await docker('pull', name);
    expect([result.status, result.stderr]).toEqual([1, expect.stringMatching(/login|denied|unauthorized|authent/i)]);
    expect(result.stderr).toContain(registry.host);
  });

  it('logs in, pulls with progress, runs, and pulls again', async () => {
    expect((await docker('login', '-u', LOGIN.username, '-p', LOGIN.password, registry.host)).status).toBe(0);
    const ran = await docker('run', '--rm', name);
    expect([ran.status, ran.stdout]).toEqual([0, 'pulled\n']);
    expect(ran.stderr).toMatch(/Pulling from team\/app/);
    expect(ran.stderr).toMatch(/Status: Downloaded newer image for/);
    const again = await docker('pull', name);
    expect(again.stdout).toMatch(/Status: Image is up to date for/);
    expect(again.stdout).toMatch(/Digest: sha256:[0-9a-f]{64}/);
    const digests = await docker('images', '--digests', '--format', '{{.Repository}}@{{.Digest}}');
    expect(digests.stdout).toMatch(/team\/app@sha256:[0-9a-f]{64}/);
  });

  it('names what is missing', async () => {
    const result = await docker('pull', `${registry.host}/team/app:none`);
    expect([result.status, result.stderr]).toEqual([1, expect.stringContaining('team/app:none')]);
    expect(daemon.log()).not.toContain(LOGIN.password);
  });
});
