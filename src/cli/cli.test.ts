import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KINDS, TscError } from '../core/index.ts';
import { toObservedContainer } from '../stack/index.ts';
import { EXIT_CODE } from './exit-codes.ts';
import type { Output } from './output.ts';
import { parsePairs, parsePublication, parseVolume } from './parse-pairs.ts';
import { buildProgram } from './program.ts';
import { reportError } from './report-error.ts';
import { splitCommand } from './split-command.ts';
import { VERBS } from './verbs.ts';
import { VERSION } from './version.ts';
import { formatAge, formatContainers, formatPorts } from './view/containers.ts';
import { formatTable } from './view/table.ts';

it('has an exit status for every kind of error', () => {
  expect(Object.keys(EXIT_CODE).sort()).toEqual([...KINDS].sort());
  for (const kind of KINDS) expect(EXIT_CODE[kind] === 0).toBe(kind === 'not-modified');
});

it('has the version of the package', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ version: VERSION });
});

describe('the command tree', () => {
  it.each(VERBS.map(({ usage, load }) => [usage.split(' ')[0], load] as const))('loads %s', async (_name, load) => {
    expect(await load()).toHaveProperty('run');
  });

  it.each<[readonly string[], string, readonly string[], object, object]>([
    [['-p', 'x', 'up', '-d', 'web'], 'up', ['web'], { detach: true }, { projectName: 'x' }],
    [
      ['-f', 'a', '-f', 'b', 'logs', '-f', '--tail', '5'],
      'logs',
      [],
      { follow: true, tail: '5' },
      { file: ['a', 'b'] },
    ],
    [['exec', '-T', 'web', 'ls', '-l', '--color'], 'exec', ['web', 'ls', '-l', '--color'], { tty: false }, {}],
    [
      ['run', '--rm', '-p', '80:80', 'web', 'sh', '-c', 'x'],
      'run',
      ['web', 'sh', '-c', 'x'],
      { publish: ['80:80'] },
      {},
    ],
    [['down', '-t', '3', '-v'], 'down', [], { timeout: 3, volumes: true }, {}],
    [['up', '--scale', 'a=1', '--scale', 'b=2'], 'up', [], { scale: ['a=1', 'b=2'] }, {}],
  ])('%j', async (argv, name, values, options, root) => {
    const seen: unknown[] = [];
    const program = buildProgram(async (verb, given, rootOptions, verbOptions) => {
      seen.push(verb.usage.split(' ')[0], given, { ...verbOptions }, { ...rootOptions });
    });
    await program.parseAsync([...argv], { from: 'user' });
    expect(seen).toEqual([name, values, expect.objectContaining(options), expect.objectContaining(root)]);
  });
});

describe('short forms', () => {
  it.each([
    ['80', { containerPort: 80, protocol: 'tcp' }],
    ['8080:80', { containerPort: 80, protocol: 'tcp', hostPort: '8080' }],
    ['127.0.0.1:8080:80/udp', { containerPort: 80, protocol: 'udp', hostPort: '8080', hostAddress: '127.0.0.1' }],
    ['[::1]:8080:80', { containerPort: 80, protocol: 'tcp', hostPort: '8080', hostAddress: '::1' }],
  ])('port %s', (text, expected) => expect(parsePublication(text)).toEqual(expected));

  it.each(['', 'x', '80:x', '1:2:3:4'])('refuses port %j', (text) =>
    expect(() => parsePublication(text)).toThrow(expect.objectContaining({ code: 'cli/invalid' })),
  );

  it('reads volumes', () => {
    const resolve = (path: string) => `/abs/${path}`;
    expect(parseVolume('./a:/b:ro', resolve)).toEqual({
      type: 'bind',
      source: '/abs/./a',
      target: '/b',
      createHostPath: true,
      readOnly: true,
    });
    expect(parseVolume('data:/b', resolve)).toEqual({ type: 'volume', source: 'data', target: '/b' });
  });

  it('takes bare variables from the caller', () => {
    expect([...parsePairs(['A=1', 'B', 'C', 'D=x=y'], '--env', { B: 'b' })]).toEqual([
      ['A', '1'],
      ['B', 'b'],
      ['D', 'x=y'],
    ]);
  });

  it.each([
    [`sh -c 'echo "a b"' x`, ['sh', '-c', 'echo "a b"', 'x']],
    [`a "b \\"c" d\\ e ''`, ['a', 'b "c', 'd e', '']],
    ['', []],
  ])('splits %s', (text, words) => expect(splitCommand(text)).toEqual(words));

  it('refuses an open quote', () => expect(() => splitCommand(`a 'b`)).toThrow('unclosed quote'));
});

describe('views', () => {
  const container = toObservedContainer({
    id: 'a'.repeat(64),
    name: 'demo-web-1',
    image: 'web:1',
    imageId: 'sha256:0',
    command: 'python3 -u server.py --port 8000',
    created: 1_000,
    state: 'running',
    status: 'Up 2 minutes (healthy)',
    health: 'healthy',
    labels: { 'com.docker.compose.service': 'web', 'com.docker.compose.container-number': '1' },
    ports: [
      { containerPort: 80, protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080 },
      { containerPort: 80, protocol: 'tcp', hostAddress: '::', hostPort: 8080 },
      { containerPort: 53, protocol: 'udp' },
    ],
    mounts: [],
    networks: {},
  });

  it('ps', () => {
    expect(formatContainers([container], 1_120_000)).toMatchInlineSnapshot(`
      "NAME         IMAGE   COMMAND                  SERVICE   CREATED         STATUS                   PORTS
      demo-web-1   web:1   "python3 -u server.p…"   web       2 minutes ago   Up 2 minutes (healthy)   0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 53/udp"
    `);
  });

  it('ports, ages and empty tables', () => {
    expect(formatPorts([])).toBe('');
    expect([0, 1, 59, 3600, 90_000].map(formatAge)).toEqual([
      'Less than a second ago',
      '1 second ago',
      '59 seconds ago',
      '1 hour ago',
      '1 day ago',
    ]);
    expect(formatTable(['A', 'B'], [])).toBe('A   B');
  });

  // A process chooses its own title, an image its command, a remote project its words: none may speak to the terminal.
  it.each([
    ['\u001b]52;c;ZXZpbA==\u0007', '\\x1b]52;c;ZXZpbA==\\x07'],
    ['\u001b[2J', '\\x1b[2J'],
    ['good\rbad', 'good\\x0dbad'],
    ['\u009b2J\u007f', '\\x9b2J\\x7f'],
    ['\u202etxt.exe\u2066', '\\u202etxt.exe\\u2066'],
    ['two\nlines\tapart', 'two\\x0alines\\x09apart'],
    ['grüße 東京 👋', 'grüße 東京 👋'],
  ])('a cell of %j is harmless', (text, shown) => {
    expect(formatTable(['A', 'B'], [[text, '1']])).toBe(`${'A'.padEnd(shown.length)}   B\n${shown}   1`);
  });

  it('containers with hostile words', () => {
    const hostile = { ...container, image: '\u001b[31mred', status: 'Up\r', command: '\u009b2J\u202e' };
    expect(formatContainers([hostile], 1_120_000).replaceAll('\n', '')).not.toMatch(/\p{Cc}|\p{Bidi_Control}/u);
  });

  it('errors with hostile words keep their lines alone', () => {
    const notes: string[] = [];
    const output = { note: (text: string) => void notes.push(text), style: (_: unknown, text: string) => text };
    const error = new TscError('container/invalid', 'no \u001b[2J\nthere', { hint: 'a\u0007\nb' });
    reportError(error, output as unknown as Output);
    expect(notes).toEqual(['tscompose: no \\x1b[2J\nthere', '  hint: a\\x07\n  b']);
  });

  it('errors about a part of the file show its place', () => {
    const notes: string[] = [];
    const output = { note: (text: string) => void notes.push(text), style: (_: unknown, text: string) => text };
    const error = new TscError('stack/failed', 'service web: ended', { hint: 'a\nb', subject: ['services', 'web'] });
    const at = { file: '/c.yaml', line: 2, column: 3, length: 3 };
    const loaded = { sources: new Map([['/c.yaml', 'services:\n  web: {}\n']]) };
    reportError(error, output as unknown as Output, {
      ...loaded,
      locate: (path) => (path[1] === 'web' ? at : undefined),
    });
    reportError(error, output as unknown as Output, { ...loaded, locate: () => undefined });
    expect(notes).toEqual([
      '/c.yaml:2:3: error: service web: ended [stack/failed]\n  2 |   web: {}\n    |   ^^^\n  hint: a\n  b',
      'tscompose: service web: ended',
      '  hint: a\n  b',
    ]);
  });
});
