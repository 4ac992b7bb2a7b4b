import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launcherFlags } from '../../src/bundle/launcher-flags.ts';
import { compiledFolder } from '../../src/bundle/open-bundle.ts';
import { runProgram } from '../../src/host/index.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const NODE = join(ROOT, 'src/launch/node');

describe('the built command starts', () => {
  let folder = '';
  let copies = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tsc-start-'));
    writeFileSync(join(folder, 'compose.yaml'), 'services: {web: {image: "x:1", ports: ["80:80"]}}\n');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const copyOfDist = (): string => {
    const dist = join(folder, `dist${copies++}`);
    mkdirSync(dist);
    for (const name of ['main.cjs', 'tscompose.cjs', 'chunks', 'compiled'])
      cpSync(join(ROOT, 'dist', name), join(dist, name), { recursive: true });
    return dist;
  };
  const FLAGS = launcherFlags('command');
  const config = (dist: string) => runProgram(NODE, [...FLAGS, join(dist, 'tscompose.cjs'), 'config'], { cwd: folder });

  it('on a Node that leaves --env-file to the command, and obeys nothing in it', async () => {
    writeFileSync(join(folder, 'node.env'), 'NODE_OPTIONS=--no-such-option\n');
    const command = join(ROOT, 'src/launch/tscompose');
    const images = ['-p', 't', '--env-file', 'node.env', 'config', '--images'];
    expect((await runProgram(command, images, { cwd: folder })).stdout).toBe('x:1\n');
  });

  it('with compiled code that this Node takes, for all that config runs', async () => {
    const dist = copyOfDist();
    const script = `import { openBundle } from ${JSON.stringify(join(ROOT, 'src/bundle/open-bundle.ts'))};
      process.argv = [process.execPath, 'x', 'config', '-q'];
      const bundle = openBundle(${JSON.stringify(dist)}, ${JSON.stringify(compiledFolder(dist, 'command'))});
      await bundle.load('main.cjs').finished;
      for (const [file, { script }] of bundle.parts) console.log(file, script.cachedDataRejected);`;
    const { stdout, stderr } = await runProgram(NODE, [...FLAGS, '--input-type=module', '-e', script], { cwd: folder });
    expect(stderr).toBe('');
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => line.startsWith('chunks/')).every((line) => line.endsWith(' false'))).toBe(true);
    expect(lines).toContain('main.cjs undefined');
    expect(lines.length).toBeGreaterThan(3);
  });

  it('with the same result without compiled code, and with spoilt code', async () => {
    const { stdout: expected } = await config(copyOfDist());
    expect(expected).toContain('published: "80"');
    const without = copyOfDist();
    rmSync(join(without, 'compiled'), { recursive: true });
    expect(await config(without)).toMatchObject({ status: 0, stdout: expected, stderr: '' });
    expect(existsSync(join(without, 'cache'))).toBe(true);
    const spoilt = copyOfDist();
    for (const file of readdirSync(compiledFolder(spoilt, 'command')))
      writeFileSync(join(compiledFolder(spoilt, 'command'), file), 'spoilt');
    expect(await config(spoilt)).toMatchObject({ status: 0, stdout: expected, stderr: '' });
  });

  it('the same under flags of V8 that its compiled code was not made with', async () => {
    const dist = copyOfDist();
    const { status, stdout } = await runProgram(NODE, ['--no-opt', join(dist, 'tscompose.cjs'), 'config'], {
      cwd: folder,
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: (await config(dist)).stdout });
  });

  it('writing to /dev/null at once, which is no terminal', async () => {
    const script = `import { openChannel } from ${JSON.stringify(join(ROOT, 'src/cli/channel.ts'))};
      const channel = openChannel(1, () => { throw new Error('opened a stream'); });
      await channel.write('text');
      console.error(channel.isTerminal);`;
    const { stdout, stderr } = await runProgram('sh', [
      '-c',
      'exec "$0" --input-type=module -e "$1" >/dev/null',
      NODE,
      script,
    ]);
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: 'false\n' });
  });
});

it('tscomposed --help names every option, and starts nothing', async () => {
  const { status, stdout, stderr } = await runProgram(join(ROOT, 'src/launch/tscomposed'), ['--help']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  for (const option of [
    'data-dir',
    'run-dir',
    'instance',
    'socket-group',
    'log-level',
    'idle-exit',
    'default-address-pool',
  ])
    expect(stdout).toContain(`--${option} `);
});
