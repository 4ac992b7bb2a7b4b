import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';

const CLIENTS = [
  ['28.5', await peer('docker-cli-28')],
  ['20.10', await peer('docker-cli-20')],
] as const;

describe.each(CLIENTS)('unmodified docker CLI %s with the classic builder', (_version, found) => {
  const program = 'path' in found ? found.path : '';
  let daemon: TestDaemon;
  let home: string;
  const docker = (...args: string[]) => runPeer(program, args, { host: daemon.host, home });

  beforeAll(async () => {
    expect(program, 'the client is needed for this duty').not.toBe('');
    home = mkdtempSync('/tmp/tsc-home-');
    mkdirSync(`${home}/context`);
    writeFileSync(`${home}/context/page`, 'page of the build\n');
    writeFileSync(
      `${home}/context/Dockerfile`,
      [
        'FROM busybox',
        'ARG GREETING=hi',
        'WORKDIR /srv',
        'COPY page .',
        'RUN echo "$GREETING" > greeting && cat page',
        'LABEL made=here',
        'CMD ["cat", "/srv/greeting", "/srv/page"]',
        '',
      ].join('\n'),
    );
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });

  afterAll(async () => {
    const left = await daemon.stop();
    rmSync(home, { recursive: true });
    expect(leftovers(left)).toEqual([]);
  });

  it('builds, tags, takes arguments, and uses the cache', async () => {
    const build = [
      'build',
      '-t',
      'team/app:1',
      '--build-arg',
      'GREETING=hello',
      '--label',
      'more=1',
      `${home}/context`,
    ];
    const first = await docker(...build);
    expect(`${first.status} ${first.stderr}`).toMatch(/^0 /);
    expect(first.stdout).toMatch(/Step 1\/\d+ : FROM busybox/);
    expect(first.stdout).toMatch(/page of the build/);
    expect(first.stdout).toMatch(/Successfully built [0-9a-f]{12}/);
    expect(first.stdout).toMatch(/Successfully tagged team\/app:1/);
    expect((await docker('run', '--rm', 'team/app:1')).stdout).toBe('hello\npage of the build\n');
    const labels = await docker('inspect', '-f', '{{.Config.Labels.made}} {{.Config.Labels.more}}', 'team/app:1');
    expect(labels.stdout).toBe('here 1\n');
    const second = await docker(...build);
    expect(second.stdout).toMatch(/Using cache/);
    const quiet = await docker('build', '-q', '--build-arg', 'GREETING=hello', `${home}/context`);
    expect(quiet.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  });

  it('reports a failing step with its command and code', async () => {
    writeFileSync(`${home}/Dockerfile.bad`, 'FROM busybox\nRUN echo before; exit 3\n');
    const result = await docker('build', '-f', `${home}/Dockerfile.bad`, `${home}/context`);
    expect(result.status).not.toBe(0);
    expect(result.stdout).toMatch(/before/);
    expect(result.stderr).toMatch(/exit 3|code:? 3/);
  });

  it('refuses what is not offered, by name', async () => {
    const result = await docker('build', '--memory', '64m', `${home}/context`);
    expect([result.status, result.stderr]).toEqual([1, expect.stringContaining('memory')]);
  });
});
