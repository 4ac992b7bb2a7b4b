import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createContext } from '../context.ts';
import type { Output } from '../output.ts';
import { buildProgram } from '../program.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function project(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync('/tmp/tsc-config-');
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Runs a command on the files of a folder; the place is written as /p in what comes back. */
async function run(folder: string, ...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: '', err: '' };
  const output: Output = {
    isTerminal: false,
    isErrorTerminal: false,
    columns: 80,
    print: (text) => {
      written.out += `${text}\n`;
    },
    write: async (data) => {
      written.out += String(data);
    },
    note: (text) => {
      written.err += `${text}\n`;
    },
    writeError: async (data) => {
      written.err += String(data);
    },
    style: (_style, text) => text,
  };
  let status = -1;
  const program = buildProgram(async (verb, values, root, options) => {
    const context = createContext(root, output, { HOME: '/nowhere', FOO: 'foo' });
    status = await (await verb.load()).run(context, values, options as never);
  });
  await program.parseAsync(['-f', join(folder, 'compose.yaml'), ...argv], { from: 'user' });
  return { status, out: written.out.replaceAll(folder, '/p'), err: written.err.replaceAll(folder, '/p') };
}

const FILES = {
  'compose.yaml': `name: t
services:
  web:
    image: nginx:\${TAG:-1.0}
    depends_on: [db]
    volumes: ["data:/data"]
    environment: {P: "\${PASS:?set it}", F: "$FOO", G: "\${GO:+go}"}
    profiles: [front]
  db:
    image: postgres
    networks: [back]
    models: [m]
  lone: {build: .}
networks: {back: }
volumes: {data: }
models: {m: {model: ai/small}}
`,
  '.env': 'PASS=secret\n',
};

describe('config prints one part alone', () => {
  it.each([
    ['--services', 'db\nlone\nweb\n'],
    ['--volumes', 'data\n'],
    ['--networks', 'back\ndefault\n'],
    ['--images', 'nginx:1.0\npostgres\nt-lone\n'],
    ['--profiles', 'front\n'],
    ['--models', 'ai/small\n'],
    ['--environment', 'COMPOSE_PROJECT_NAME=t\nFOO=foo\nHOME=/nowhere\nPASS=secret\n'],
    [
      '--variables',
      'NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE\n' +
        'FOO                 false                                   \n' +
        'GO                  false                                   go\n' +
        'PASS                true                                    \n' +
        'TAG                 false               1.0                 \n',
    ],
  ])('%s', async (flag, expected) => {
    expect(await run(project(FILES), '--profile', '*', 'config', flag)).toEqual({ status: 0, out: expected, err: '' });
  });

  it('variables for tools', async () => {
    expect(await run(project(FILES), 'convert', '--images')).toEqual(await run(project(FILES), 'config', '--images'));
    const { out } = await run(project(FILES), 'config', '--variables', '--format', 'json');
    expect(JSON.parse(out)).toMatchObject({ TAG: { Name: 'TAG', DefaultValue: '1.0', Required: false } });
    const yaml = await run(project(FILES), 'config', '--variables', '--format', 'yaml');
    expect(yaml.out).toContain('PASS:\n    name: PASS\n');
  });

  it('definition hashes of all or some services', async () => {
    const folder = project({ ...FILES, 'compose.yaml': FILES['compose.yaml'].replaceAll(/.*models.*\n/gi, '') });
    const all = await run(folder, '--profile', 'front', 'config', '--hash', '*');
    expect(all.out).toMatch(/^db [0-9a-f]{64}\nlone [0-9a-f]{64}\nweb [0-9a-f]{64}\n$/);
    await expect(run(folder, 'config', '--hash', 'nope')).rejects.toMatchObject({ code: 'cli/not-found' });
  });

  it('services without interpolation, whatever the variables', async () => {
    const folder = project({ 'compose.yaml': FILES['compose.yaml'] });
    expect((await run(folder, 'config', '--services', '--no-interpolate')).out).toBe('web\ndb\nlone\n');
  });
});

it('narrows the model to the named services, what they need and what these use', async () => {
  const { out } = await run(project(FILES), 'config', 'web', '--format', 'json');
  const model = JSON.parse(out) as { services: object; networks: object };
  expect(Object.keys(model.services)).toEqual(['db', 'web']);
  expect(Object.keys(model.networks)).toEqual(['back', 'default']);
});

it('leaves stages out as told', async () => {
  const folder = project(FILES);
  const raw = await run(folder, 'config', '--no-interpolate');
  expect(raw.out).toContain('image: nginx:${TAG:-1.0}');
  expect((await run(folder, 'config', 'lone', '--no-path-resolution')).out).toContain('context: .\n');
  expect((await run(folder, 'config', 'lone', '--no-normalize')).out).not.toContain('default');
});

it('writes to a file, or nothing', async () => {
  const folder = project(FILES);
  expect(await run(folder, 'config', '-o', join(folder, 'out.yaml'))).toEqual({ status: 0, out: '', err: '' });
  expect(readFileSync(join(folder, 'out.yaml'), 'utf8')).toContain('name: t\n');
  expect(await run(folder, 'config', '-q')).toEqual({ status: 0, out: '', err: '' });
});

it('tells findings as text, or as JSON for tools', async () => {
  const folder = project({ 'compose.yaml': 'services:\n  a:\n    imge: x\n    image: y\n    user: $NONE\n' });
  const text = await run(folder, 'config');
  expect(text).toMatchObject({ status: 1, out: '' });
  expect(text.err).toContain('did you mean image?');
  const json = await run(folder, 'config', '-q', '--format', 'json');
  expect(json.status).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({
    valid: false,
    diagnostics: [
      { code: 'compose/unknown-key', severity: 'error', file: '/p/compose.yaml', line: 3, column: 5, length: 4 },
      { code: 'compose/unset-variable', severity: 'warning', line: 5 },
    ],
  });
  const good = await run(project(FILES), 'config', '-q', '--format', 'json');
  expect(JSON.parse(good.out)).toEqual({ valid: true, diagnostics: [] });
});

it('explains as text and as JSON', async () => {
  const folder = project(FILES);
  expect((await run(folder, 'config', '--explain', 'services.web.image')).out).toContain('the default "1.0" is used');
  const json = await run(folder, 'config', '--explain', 'PASS', '--format', 'json');
  expect(JSON.parse(json.out)).toMatchObject({ subject: 'PASS', value: '"secret"', steps: [{ outcome: 'used' }, {}] });
});

it('reads a pipe that the command line names, and none that a file names', async () => {
  const folder = project({});
  const pipe = join(folder, 'fifo');
  execFileSync('mkfifo', [pipe]);
  const descriptor = openSync(pipe, constants.O_RDWR);
  const path = `/dev/fd/${descriptor}`;
  writeFileSync(join(folder, 'compose.yaml'), `services: {a: {image: x, env_file: ${path}}}\n`);
  const refused = await run(folder, '-p', 't', 'config', '-q');
  expect(refused.err).toContain(`${path} is not a regular file`);
  closeSync(descriptor);
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(pipe, constants.O_WRONLY);
  writeSync(writer, 'services: {a: {image: piped}}\n');
  const given = run(folder, '-p', 't', '-f', `/dev/fd/${reader}`, 'config', '--images');
  setTimeout(() => closeSync(writer), 100);
  expect((await given).out).toBe('piped\n');
  closeSync(reader);
});

it('pins images to the digests that a registry has', async () => {
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: `sha256:${'a'.repeat(64)}`, size: 2 },
    layers: [],
  });
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/vnd.oci.image.manifest.v1+json');
    response.end(request.url === '/v2/' ? '' : manifest);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  try {
    const text = `name: t\nservices: {a: {image: "${host}/x:1"}, b: {build: .}, c: {image: "e@sha256:${'b'.repeat(64)}"}}\n`;
    const folder = project({ 'compose.yaml': text });
    const locked = await run(folder, 'config', '--lock-image-digests');
    expect(locked.out).toMatch(
      new RegExp(
        `^services:\n  a:\n    image: ${host}/x:1@sha256:[0-9a-f]{64}\n  c:\n    image: docker.io/library/e@sha256:b{64}\n$`,
      ),
    );
    const resolved = await run(folder, 'config', '--resolve-image-digests');
    expect(resolved.out).toMatch(/image: .*\/x:1@sha256:[0-9a-f]{64}\n/);
    expect(resolved.out).toContain('  b:\n    build:');
    const images = await run(folder, 'config', '--resolve-image-digests', '--images');
    expect(images.out.split('\n').sort()).toEqual([
      '',
      expect.stringMatching(/^127.*\/x:1@sha256:[0-9a-f]{64}$/),
      `docker.io/library/e@sha256:${'b'.repeat(64)}`,
      't-b',
    ]);
  } finally {
    server.close();
  }
});

describe('lint', () => {
  const LOOSE = { 'compose.yaml': 'services:\n  a:\n    image: nginx\n    privileged: true\n' };

  it('warns and passes, fails when asked to or when a rule is an error', async () => {
    const folder = project(LOOSE);
    const found = await run(folder, 'lint');
    expect(found.status).toBe(0);
    expect(found.out).toContain('compose.yaml:4:5: warning: a is privileged');
    expect(found.out).toMatch(/\n\n0 errors, 2 warnings\n$/);
    expect((await run(folder, 'lint', '--strict')).status).toBe(1);
    expect((await run(folder, 'lint', '--rule', 'privileged=error')).status).toBe(1);
    const silent = await run(folder, 'lint', '--strict', '--rule', 'privileged=off', '--rule', 'latest-tag=off');
    expect(silent).toEqual({ status: 0, out: '', err: '' });
  });

  it('writes JSON and SARIF for tools', async () => {
    const folder = project(LOOSE);
    const json = JSON.parse((await run(folder, 'lint', '--format', 'json')).out);
    expect(json).toMatchObject({
      valid: true,
      diagnostics: [{ code: 'lint/latest-tag' }, { code: 'lint/privileged' }],
    });
    await run(folder, 'lint', '--format', 'sarif', '-o', join(folder, 'out.sarif'));
    expect(JSON.parse(readFileSync(join(folder, 'out.sarif'), 'utf8')).runs[0].results).toHaveLength(2);
    await expect(run(folder, 'lint', '--format', 'xml')).rejects.toMatchObject({ code: 'cli/invalid' });
    await expect(run(folder, 'lint', '--rule', 'privileged')).rejects.toMatchObject({ code: 'cli/invalid' });
  });

  it('lists the codes', async () => {
    expect((await run(project(LOOSE), 'lint', '--codes')).out).toMatch(/^compose\/unknown-key +a key is not/m);
  });
});

it.each([
  ['text', 'web\n└─ db\n'],
  ['mermaid', '  s0 --> s1\n'],
  ['dot', '  "web" -> "db";\n'],
  ['svg', '<svg xmlns='],
])('graph --format %s', async (format, expected) => {
  expect((await run(project(FILES), 'graph', 'web', '--format', format)).out).toContain(expected);
});

it('graph refuses other formats', async () => {
  await expect(run(project(FILES), 'graph', '--format', 'png')).rejects.toMatchObject({ code: 'cli/invalid' });
});
