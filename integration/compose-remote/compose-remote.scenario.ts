import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';
import { startGitServer, type TestGitServer } from '../kit/git-server.ts';
import { peer, runPeer } from '../kit/peers.ts';
import {
  type Content,
  contentOf,
  push,
  startRegistry,
  startScriptedServer,
  type TestRegistry,
} from '../kit/registry.ts';

// Remote compose files come by git and from registries, are kept, and cannot reach out of what came with them.
const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');

let git: TestGitServer;
let registry: TestRegistry;
let folder: string;

beforeAll(async () => {
  git = await startGitServer();
  registry = await startRegistry();
});

afterAll(async () => {
  await git[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

beforeEach(() => {
  folder = mkdtempSync('/tmp/tsc-remote-');
  return () => rmSync(folder, { recursive: true, force: true });
});

const write = (path: string, text: string) => writeFileSync(join(folder, path), text);
const kept = () => join(folder, '.cache/tscompose/remote');

async function tscompose(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  return runProgram(COMMAND, args, {
    cwd: folder,
    environment: { PATH: process.env['PATH'] ?? '', HOME: folder, COMPOSE_PROJECT_NAME: 'p', ...environment },
  });
}

const STACK = {
  'compose.yaml': 'services:\n  web: {image: nginx, env_file: [a.env], volumes: ["./data:/d"]}\n',
  'a.env': 'A=1\n',
  'sub/dir/compose.yaml': 'services:\n  deep: {image: "deep:${TAG:-none}", build: ., volumes: ["../x:/x"]}\n',
  'sub/other.yml': 'include: [../compose.yaml]\nservices: {o: {image: o}}\n',
  '.env': 'TAG=remote\n',
};

describe('a compose file in a git repository', () => {
  it("is the same by git's own protocol", async () => {
    const commit = git.commit('native', STACK);
    for (const path of ['#main:sub/dir', `#${commit}:sub/other.yml`, '']) {
      const [native, plain] = [git.nativeUrl, git.url].map((url) => `${url}/native.git${path}`);
      const found = await tscompose(['-f', native ?? '', 'config', '--services']);
      expect(found).toEqual(await tscompose(['-f', plain ?? '', 'config', '--services']));
      expect(found.status).toBe(0);
    }
    const absent = await tscompose(['-f', `${git.nativeUrl}/absent.git`, 'config']);
    expect(absent).toMatchObject({ status: 1, stdout: '' });
    expect(absent.stderr).toContain('absent.git');
  });

  it('is loaded as docker compose loads it', async () => {
    const commit = git.commit('same', STACK);
    const url = `${git.url}/same.git`;
    write('local.yaml', 'services: {l: {image: "l:${TAG:-none}", build: ./here}}\n');
    write('plain.yaml', `include: ["${url}#main:sub/dir"]\n`);
    write('folder.yaml', `include: [{path: "${url}#main:sub/dir", project_directory: .}]\n`);
    write('extends.yaml', `services: {e: {extends: {file: "${url}", service: web}}}\n`);
    const cases = [
      ['-f', url],
      ['-f', `${url}#main:sub/dir`],
      ['-f', `${url}#${commit}:sub/other.yml`],
      ['-f', 'local.yaml', '-f', url],
      ['-f', url, '-f', 'local.yaml'],
      ['-f', 'plain.yaml'],
      ['-f', 'folder.yaml'],
      ['-f', 'extends.yaml'],
    ];
    const other = await peer('docker-compose-2');
    for (const files of cases) {
      const ours = await tscompose(['--trust-remote', url, ...files, 'config']);
      expect(ours, files.join(' ')).toMatchObject({ status: 0, stderr: '' });
      if ('reason' in other) continue;
      const options = {
        host: 'unix:///nonexistent',
        home: folder,
        cwd: folder,
        environment: { COMPOSE_PROJECT_NAME: 'p' },
      };
      const theirs = await runPeer(other.path, [...files, 'config'], options);
      const expected = theirs.stdout.replaceAll('.cache/docker-compose/', '.cache/tscompose/remote/git-');
      expect(ours.stdout, files.join(' ')).toBe(expected);
    }
  });

  it('is kept for its owner alone, and a full commit is asked for once', async () => {
    const commit = git.commit('kept', STACK);
    const file = `${git.url}/kept.git#${commit}`;
    expect(await tscompose(['-f', file, 'config', '-q'])).toMatchObject({ status: 0 });
    expect(statSync(kept()).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(kept(), `git-${commit}`)).sort()).toEqual(['.env', 'a.env', 'compose.yaml', 'sub']);
    const before = git.requests.length;
    expect(await tscompose(['-f', file, 'config', '-q'])).toMatchObject({ status: 0 });
    expect(git.requests.length).toBe(before);
  });

  it('follows its branch', async () => {
    git.commit('moving', STACK);
    const file = `${git.url}/moving.git#main`;
    expect((await tscompose(['-f', file, 'config', '--images'])).stdout).toBe('nginx\n');
    git.commit('moving', { 'compose.yaml': 'services: {web: {image: newer}}\n' });
    expect((await tscompose(['-f', file, 'config', '--images'])).stdout).toBe('newer\n');
  });

  it('takes the branch of that very name', async () => {
    git.commit('branches', { 'compose.yaml': 'services: {a: {image: wrong}}\n' }, 'a/topic');
    git.commit('branches', { 'compose.yaml': 'services: {a: {image: right}}\n' }, 'topic');
    expect((await tscompose(['-f', `${git.url}/branches.git#topic`, 'config', '--images'])).stdout).toBe('right\n');
  });

  it('is taken from the copy, with a warning, when the repository is away', async () => {
    const own = await startGitServer();
    own.commit('away', STACK);
    const file = `${own.url}/away.git#main`;
    expect(await tscompose(['-f', file, 'config', '-q'])).toMatchObject({ status: 0, stderr: '' });
    await own[Symbol.asyncDispose]();
    const later = await tscompose(['-f', file, 'config', '--images']);
    expect(later).toMatchObject({ status: 0, stdout: 'nginx\n' });
    expect(later.stderr).toMatch(/warning: the repository does not answer: .*; the copy of \d{4}-.* is used/);
    const never = await tscompose(['-f', `${own.url}/away.git#other`, 'config', '-q']);
    expect(never.status).toBe(1);
    expect(never.stderr).toMatch(/cannot fetch .*hint: /s);
  });

  it.each([
    ['a branch that is not there', '#nope', 'has no branch or tag nope'],
    ['a folder that is not there', '#main:nothere', 'it has no nothere'],
    ['a folder without compose file', '#main:sub', 'there is no compose file in sub'],
    ['a folder outside', '#main:../x', 'leads out of the repository'],
    ['an option as branch', '#--upload-pack=touch${IFS}/tmp/x', 'is no branch, tag or commit'],
    ['a commit that is not there', `#${'0'.repeat(39)}1`, 'cannot get the commit 0000'],
  ])('names %s: an error at the include', async (_what, fragment, says) => {
    git.commit('errors', STACK);
    write('compose.yaml', `name: p\ninclude:\n  - ${git.url}/errors.git${fragment.replaceAll('$', '$$$$')}\n`);
    const { status, stderr } = await tscompose(['config']);
    expect(status).toBe(1);
    expect(stderr).toContain('compose.yaml:3:5: error: ');
    expect(stderr).toContain(says);
    expect(stderr).toContain('hint: ');
  });

  it('cannot lead out of its tree by links', async () => {
    write('secret', 'SECRET=yes\n');
    const commit = git.commit('links', {
      'compose.yaml': 'services: {a: {image: x, env_file: [e.env], labels: {l: "1"}}}\n',
      'e.env': `link:${join(folder, 'secret')}`,
      'deep/up': 'link:../..',
      'deep/inside': 'link:../good.env',
      'deep/twisted': 'link:up/../../etc',
      'good.env': 'A=1\n',
    });
    const { status, stdout, stderr } = await tscompose(['-f', `${git.url}/links.git`, 'config']);
    // The link is a file now, with its target as text: no assignment.
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).not.toContain('SECRET');
    const tree = join(kept(), `git-${commit}`);
    expect(readFileSync(join(tree, 'e.env'), 'utf8')).toBe(join(folder, 'secret'));
    expect(readFileSync(join(tree, 'deep/up'), 'utf8')).toBe('../..');
    expect(readFileSync(join(tree, 'deep/inside'), 'utf8')).toBe('A=1\n');
    expect(readFileSync(join(tree, 'deep/twisted'), 'utf8')).toBe('up/../../etc');
  });

  it('brings no settings, and the caller lends git none', async () => {
    git.commit('quiet', {
      ...STACK,
      '.gitattributes': '* filter=evil\n',
      '.gitmodules': '[submodule "x"]\n\tpath = x\n\turl = file:///etc\n',
    });
    mkdirSync(join(folder, 'templates/hooks'), { recursive: true });
    writeFileSync(join(folder, 'templates/hooks/post-checkout'), `#!/bin/sh\ntouch ${folder}/hooked\n`, {
      mode: 0o755,
    });
    write(
      '.gitconfig',
      `[init]\n\ttemplateDir = ${folder}/templates\n[filter "evil"]\n\tsmudge = touch ${folder}/filtered; cat\n[core]\n\thooksPath = ${folder}/templates/hooks\n`,
    );
    const environment = {
      GIT_SSH_COMMAND: `touch ${folder}/ssh`,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'core.hooksPath',
      GIT_CONFIG_VALUE_0: `${folder}/templates/hooks`,
      GIT_DIR: '/nonexistent',
    };
    expect(await tscompose(['-f', `${git.url}/quiet.git`, 'config', '-q'], environment)).toMatchObject({ status: 0 });
    expect(readdirSync(folder).sort()).toEqual(['.cache', '.gitconfig', 'templates']);
  });

  it('needs consent to reach out', async () => {
    git.commit('reach', { 'compose.yaml': 'services: {a: {image: x, env_file: [/etc/shadow]}}\n' });
    write('compose.yaml', `include: ["${git.url}/reach.git"]\n`);
    const refused = await tscompose(['config']);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toContain('names /etc/shadow, which did not come with it');
    expect(refused.stderr).not.toContain('root:');
    git.commit('reach', { 'compose.yaml': `services: {a: {image: x, volumes: ["${folder}:/x"]}}\n` });
    expect(await tscompose(['config', '-q'])).toMatchObject({ status: 1 });
    expect(await tscompose(['--trust-remote', `${git.url}/reach.git`, 'config', '-q'])).toMatchObject({ status: 0 });
    const environment = { TSCOMPOSE_TRUST_REMOTE: `oci://x ${git.url}/reach.git` };
    expect(await tscompose(['config', '-q'], environment)).toMatchObject({ status: 0 });
  });

  it('is refused when it is switched off, and when others may write to the copies', async () => {
    git.commit('off', STACK);
    const file = `${git.url}/off.git`;
    const off = await tscompose(['-f', file, 'config'], { COMPOSE_EXPERIMENTAL_GIT_REMOTE: 'false' });
    expect(off.stderr).toContain('switched off by COMPOSE_EXPERIMENTAL_GIT_REMOTE');
    mkdirSync(kept(), { recursive: true, mode: 0o777 });
    await runProgram('/bin/chmod', ['777', kept()]);
    const open = await tscompose(['-f', file, 'config']);
    expect(open).toMatchObject({ status: 1 });
    expect(open.stderr).toContain('is open to other users');
  });
});

const EMPTY = contentOf('application/vnd.docker.compose.config.empty.v1+json', '{}');
const PROJECT = 'application/vnd.docker.compose.project';

/** An artifact as `docker compose publish` makes it, under a tag; resolves with its address. */
async function publish(
  name: string,
  layers: readonly { readonly content: Content; readonly annotations?: Readonly<Record<string, string>> }[],
  artifactType = PROJECT,
  { host, authorization }: { readonly host: string; readonly authorization?: string } = registry,
): Promise<{ readonly tagged: string; readonly pinned: string }> {
  const descriptor = ({ mediaType, digest, size }: Content) => ({ mediaType, digest, size });
  const manifest = contentOf('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType,
    config: descriptor(EMPTY),
    layers: layers.map(({ content, annotations }) => ({ ...descriptor(content), annotations })),
  });
  const image = { manifest, config: EMPTY, layers: layers.map(({ content }) => content) };
  await push(host, name, { images: [image], tag: 'v1', top: manifest }, authorization);
  return { tagged: `oci://${host}/${name}:v1`, pinned: `oci://${host}/${name}@${manifest.digest}` };
}

const file = (text: string, annotations: Readonly<Record<string, string>> = {}) => ({
  content: contentOf('application/vnd.docker.compose.file+yaml', text),
  annotations: { 'com.docker.compose.version': '2.40', 'com.docker.compose.file': 'compose.yaml', ...annotations },
});
const envFile = (name: string, text: string) => ({
  content: contentOf('application/vnd.docker.compose.envfile', text),
  annotations: { 'com.docker.compose.envfile': name },
});

describe('a compose file in a registry', () => {
  it('is put together from its layers, kept under its digest, and needs the registry no more', async () => {
    const own = await startRegistry();
    const shared = registry;
    registry = own;
    const { tagged, pinned } = await publish('team/stack', [
      file('services: {web: {image: nginx, env_file: [abc.env], extends: {file: base.yaml, service: b}}}\n'),
      file('services: {b: {labels: {l: "1"}}}\n', {
        'com.docker.compose.extends': 'true',
        'com.docker.compose.file': 'base.yaml',
      }),
      file('services: {web: {environment: {B: "2"}}}\n', { 'com.docker.compose.file': 'over.yaml' }),
      envFile('abc.env', 'A=1\n'),
    ]);
    registry = shared;
    const { status, stdout, stderr } = await tscompose(['-f', tagged, 'config']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(
      '    environment:\n      A: "1"\n      B: "2"\n    image: nginx\n    labels:\n      l: "1"\n',
    );
    expect(await tscompose(['-f', pinned, 'config', '-q'])).toMatchObject({ status: 0 });
    const [tree = ''] = readdirSync(kept()).filter((name) => name.startsWith('oci-'));
    expect(readdirSync(join(kept(), tree)).sort()).toEqual(['abc.env', 'base.yaml', 'compose.yaml']);
    expect(statSync(join(kept(), tree)).mode & 0o777).toBe(0o700);
    await own[Symbol.asyncDispose]();
    expect(await tscompose(['-f', pinned, 'config', '-q'])).toMatchObject({ status: 0, stderr: '' });
    const stale = await tscompose(['-f', tagged, 'config', '-q']);
    expect(stale.status).toBe(0);
    expect(stale.stderr).toMatch(/warning: .*; the copy of .* is used/);
  });

  it.each(['../evil.env', '/etc/cron.d/evil', '..\\evil', 'a/b.env', '..', '.', '', '-x', '.ssh'])(
    'that names the file %j is refused, and nothing is kept',
    async (name) => {
      const { tagged } = await publish('evil/names', [file('services: {web: {image: x}}\n'), envFile(name, 'A=1\n')]);
      const { status, stderr } = await tscompose(['-f', tagged, 'config']);
      expect(status).toBe(1);
      expect(stderr).toContain('names a file');
      expect(readdirSync(kept())).toEqual([]);
    },
  );

  it('that is no compose project is refused', async () => {
    const { tagged } = await publish('other/thing', [file('x: 1\n')], 'application/vnd.example.thing');
    const { status, stderr } = await tscompose(['-f', tagged, 'config']);
    expect(status).toBe(1);
    expect(stderr).toContain('it is no compose project but application/vnd.example.thing');
  });

  it('that reaches out needs consent', async () => {
    const { tagged } = await publish('evil/reach', [file('services: {web: {image: x, privileged: true}}\n')]);
    write('compose.yaml', `include:\n  - ${tagged}\n`);
    const { status, stderr } = await tscompose(['config']);
    expect(status).toBe(1);
    expect(stderr).toContain('gives the container all rights');
    expect(await tscompose(['--trust-remote', tagged, 'config', '-q'])).toMatchObject({ status: 0 });
  });

  it('is found in an index that also names its images', async () => {
    const content = file('services: {web: {image: inner}}\n').content;
    const descriptor = ({ mediaType, digest, size }: Content) => ({ mediaType, digest, size });
    const manifest = contentOf('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: PROJECT,
      config: descriptor(EMPTY),
      layers: [descriptor(content)],
    });
    const indexOf = (artifactType: string) =>
      contentOf('application/vnd.oci.image.index.v1+json', {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [{ ...descriptor(manifest), artifactType }],
      });
    const image = { manifest, config: EMPTY, layers: [content] };
    await push(registry.host, 'indexed', { images: [image], tag: 'v1', top: indexOf(PROJECT) });
    await push(registry.host, 'indexed', { images: [image], tag: 'v2', top: indexOf('application/vnd.example') });
    const found = await tscompose(['-f', `oci://${registry.host}/indexed:v1`, 'config', '--images']);
    expect(found).toMatchObject({ status: 0, stdout: 'inner\n' });
    const none = await tscompose(['-f', `oci://${registry.host}/indexed:v2`, 'config']);
    expect(none.stderr).toContain('it is no compose project');
  });

  it('that the registry changed on the way is refused', async () => {
    const { tagged } = await publish('changed/stack', [file('services: {web: {image: x}}\n')]);
    const reference = tagged.slice(`oci://${registry.host}/`.length).replace(':v1', '');
    const base = `http://${registry.host}/v2/${reference}`;
    const manifest = await (
      await fetch(`${base}/manifests/v1`, { headers: { accept: 'application/vnd.oci.image.manifest.v1+json' } })
    ).text();
    // The same manifest, with another content under its digest.
    await using liar = await startScriptedServer((request, response) => {
      const url = request.url ?? '';
      if (url === '/v2/') response.writeHead(200).end('{}');
      else if (url.includes('/manifests/'))
        response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(manifest);
      else response.writeHead(200).end('services: {web: {image: y}}\n');
    });
    const { status, stderr } = await tscompose(['-f', `oci://${liar.host}/${reference}:v1`, 'config']);
    expect(status).toBe(1);
    expect(stderr).toContain('has another digest');
    expect(readdirSync(kept())).toEqual([]);
    const digest = `sha256:${'0'.repeat(64)}`;
    const pinned = await tscompose(['-f', `oci://${liar.host}/${reference}@${digest}`, 'config']);
    expect(pinned.stderr).toContain(`expected ${digest}`);
  });

  it('is read with the login that docker has kept', async () => {
    const login = { username: 'ann', password: 'secret' };
    const own = await startRegistry({ login });
    const authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
    const { tagged } = await publish('private/stack', [file('services: {web: {image: x}}\n')], PROJECT, {
      host: own.host,
      authorization,
    });
    const refused = await tscompose(['-f', tagged, 'config', '-q']);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('cannot fetch oci://');
    mkdirSync(join(folder, 'docker'));
    write(
      'docker/config.json',
      JSON.stringify({ auths: { [own.host]: { auth: authorization.slice('Basic '.length) } } }),
    );
    const environment = { DOCKER_CONFIG: join(folder, 'docker') };
    expect(await tscompose(['-f', tagged, 'config', '-q'], environment)).toMatchObject({ status: 0, stderr: '' });
    await own[Symbol.asyncDispose]();
  });

  it('that is not there is reported where it is named', async () => {
    write('compose.yaml', `include:\n  - oci://${registry.host}/no/such:v1\n`);
    const { status, stderr } = await tscompose(['config']);
    expect(status).toBe(1);
    expect(stderr).toContain('compose.yaml:2:5: error: cannot fetch oci://');
    expect(stderr).toContain('404');
  });
});
