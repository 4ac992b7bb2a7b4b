import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';
import { peer, runPeer } from '../kit/peers.ts';

const found = await peer('docker-cli-28');
const program = 'path' in found ? found.path : '';
let daemon: TestDaemon;
let home: string;

const docker = (...args: string[]) => runPeer(program, args, { host: daemon.host, home });

async function ok(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await docker(...args);
  expect(`${status} ${stderr}`, args.join(' ')).toMatch(/^0 /);
  return stdout.trim();
}

async function refused(...args: string[]): Promise<string> {
  const { status, stderr } = await docker(...args);
  expect(status, args.join(' ')).not.toBe(0);
  return stderr.trim();
}

beforeAll(async () => {
  expect(program, 'the client is needed for this duty').not.toBe('');
  home = mkdtempSync('/tmp/tsc-cp-');
  daemon = await startTestDaemon();
  await daemon.importBusybox();
  mkdirSync(`${home}/dir/sub`, { recursive: true });
  writeFileSync(`${home}/dir/sub/deep`, 'deep', { mode: 0o640 });
  writeFileSync(`${home}/file`, 'file');
  symlinkSync('file', `${home}/link`);
  mkdirSync(`${home}/bound`);
});
afterAll(async () => {
  const left = await daemon.stop();
  rmSync(home, { recursive: true });
  expect(leftovers(left)).toEqual([]);
});

/** What is set up inside before it is copied: owners, links, an absolute link through which paths lead. */
const SETUP = `mkdir -p $W/from/sub /vol/v; echo one > $W/from/one; chown 12:34 $W/from/one; ln -s one $W/from/soft;
 ln -s /etc/passwd $W/from/abs; ln -s $W/from $W/way; echo volume > /vol/v/x; chmod 4755 $W/from/sub`;

const KINDS: readonly [string, string, readonly string[], boolean][] = [
  ['running', '/w', [], false],
  ['stopped', '/w', [], true],
  ['running, read-only root', '/vol/w', ['--read-only'], false],
  ['stopped, read-only root', '/vol/w', ['--read-only'], true],
];

describe.each(KINDS)('docker cp, container %s', (kind, place, flags, stop) => {
  const name = kind.replace(/[^a-z]+/g, '-');

  beforeAll(async () => {
    const volumes = ['-v', `${name}-data:/vol`, '-v', `${home}/bound:/bound`, '-v', `${home}/bound:/fixed:ro`];
    await ok('run', '-d', '--name', name, ...flags, ...volumes, 'busybox', 'sleep', '600');
    await ok('exec', '-e', `W=${place}`, name, 'sh', '-c', SETUP);
    if (stop) await ok('stop', '-t', '0', name);
  });

  it('out: a file, a directory, its content, links and -L', async () => {
    const out = `${home}/out-${name}`;
    mkdirSync(out);
    await ok('cp', `${name}:${place}/from/one`, `${out}/new-name`);
    expect(readFileSync(`${out}/new-name`, 'utf8')).toBe('one\n');
    await ok('cp', `${name}:${place}/from`, out);
    expect(readlinkSync(`${out}/from/soft`)).toBe('one');
    expect(readlinkSync(`${out}/from/abs`)).toBe('/etc/passwd');
    expect(lstatSync(`${out}/from/sub`).mode & 0o7777).toBe(0o4755);
    mkdirSync(`${out}/content`);
    await ok('cp', `${name}:${place}/from/.`, `${out}/content`);
    expect(readFileSync(`${out}/content/one`, 'utf8')).toBe('one\n');
    await ok('cp', `${name}:${place}/from/soft`, `${out}/as-link`);
    expect(readlinkSync(`${out}/as-link`)).toBe('one');
    await ok('cp', '-L', `${name}:${place}/from/soft`, `${out}/followed`);
    expect(readFileSync(`${out}/followed`, 'utf8')).toBe('one\n');
    await ok('cp', `${name}:${place}/way/one`, `${out}/through-link`);
    expect(readFileSync(`${out}/through-link`, 'utf8')).toBe('one\n');
    await ok('cp', `${name}:/vol/v/x`, `${out}/from-volume`);
    expect(readFileSync(`${out}/from-volume`, 'utf8')).toBe('volume\n');
  });

  it('in: a file, a directory, its content, through a link, a link itself and -L', async () => {
    const read = async (path: string) => {
      await ok('cp', `${name}:${path}`, `${home}/read-${name}`);
      const text = readFileSync(`${home}/read-${name}`, 'utf8');
      rmSync(`${home}/read-${name}`);
      return text;
    };
    await ok('cp', `${home}/file`, `${name}:${place}/`);
    expect(await read(`${place}/file`)).toBe('file');
    await ok('cp', `${home}/file`, `${name}:${place}/renamed`);
    expect(await read(`${place}/renamed`)).toBe('file');
    await ok('cp', `${home}/dir`, `${name}:${place}/made`);
    expect(await read(`${place}/made/sub/deep`)).toBe('deep');
    await ok('cp', `${home}/dir/.`, `${name}:${place}/from`);
    expect(await read(`${place}/from/sub/deep`)).toBe('deep');
    await ok('cp', `${home}/file`, `${name}:${place}/way/by-link`);
    expect(await read(`${place}/from/by-link`)).toBe('file');
    await ok('cp', '-L', `${home}/link`, `${name}:${place}/followed`);
    expect(await read(`${place}/followed`)).toBe('file');
    await ok('cp', `${home}/link`, `${name}:${place}/soft`);
    await ok('cp', `${name}:${place}/soft`, `${home}/soft-${name}`);
    expect(readlinkSync(`${home}/soft-${name}`)).toBe('file');
    await ok('cp', `${home}/file`, `${name}:/bound/${name}`);
    expect(readFileSync(`${home}/bound/${name}`, 'utf8')).toBe('file');
  });

  it('a stream out and in', async () => {
    const { stdout } = await docker('cp', `${name}:${place}/from/one`, '-');
    const listed = await runProgram('/usr/bin/tar', ['--numeric-owner', '-tvf', '-'], { input: stdout });
    expect(listed.stdout).toMatch(/^-\S+ 12\/34 +4 .* one$/m);
    const put = await runPeer(program, ['cp', '-', `${name}:${place}`], { host: daemon.host, home, input: stdout });
    expect(`${put.status} ${put.stderr}`).toMatch(/^0 /);
    expect(await ok('cp', `${name}:${place}/one`, '-')).toContain('one\n');
  });

  it('refuses what cannot be, in the words of docker', async () => {
    expect(await refused('cp', `${name}:/nope`, home)).toBe(
      `Error response from daemon: Could not find the file /nope in container ${name}`,
    );
    expect(await refused('cp', `${home}/file`, `${name}:/no/such/place`)).toContain(
      `Could not find the file /no/such in container ${name}`,
    );
    expect(await refused('cp', `${home}/dir`, `${name}:/etc/passwd`)).toContain('cannot copy directory');
    expect(await refused('cp', `${home}/file`, `${name}:/fixed/x`)).toContain('read-only');
    if (flags.length > 0) {
      expect(await refused('cp', `${home}/file`, `${name}:/etc/x`)).toBe(
        'Error response from daemon: container rootfs is marked read-only',
      );
    }
  });

  it('HEAD says what is there', async () => {
    const answer = await daemon.call('HEAD', `/containers/${name}/archive?path=${place}/from/soft`);
    const header = String(answer.headers['x-docker-container-path-stat']);
    const entry = JSON.parse(Buffer.from(header, 'base64').toString()) as Record<string, unknown>;
    expect(entry).toMatchObject({ name: 'soft', linkTarget: expect.stringMatching(/one$/) });
    expect((await daemon.call('HEAD', `/containers/${name}/archive?path=/nope`)).status).toBe(404);
  });
});

it('cp -a gives the files to the user of the container', async () => {
  await ok('run', '-d', '--name', 'user', '--user', '77:78', 'busybox', 'sleep', '600');
  await ok('cp', '-a', `${home}/file`, 'user:/tmp/given');
  expect(await ok('exec', 'user', 'stat', '-c', '%u:%g', '/tmp/given')).toBe('77:78');
});
