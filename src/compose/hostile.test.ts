import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ComposeError, loadProject, memoryReader, renderProject } from './index.ts';

const nested = (open: string, close: string, times: number) => `x-a: ${open.repeat(times)}${close.repeat(times)}\n`;
const bytes = (...parts: (string | number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'string' ? [...new TextEncoder().encode(part)] : part)));
const service = (body: string) => `services:\n  a:\n    image: x\n    ${body}\n`;

const HOSTILE: readonly (readonly [what: string, text: string | Uint8Array, code: string])[] = [
  [
    'an alias bomb of lists',
    'a: &a [x,x,x,x,x,x,x,x,x]\n' +
      Array.from(
        { length: 12 },
        (_, i) =>
          `k${i}: &k${i} [${Array(9)
            .fill(i ? `*k${i - 1}` : '*a')
            .join()}]`,
      ).join('\n'),
    'compose/alias-bomb',
  ],
  [
    'an alias bomb of mappings',
    ['x-a: &k0 {k: v}', ...Array.from({ length: 24 }, (_, i) => `x-${i}: &k${i + 1} {p: *k${i}, q: *k${i}}`)].join(
      '\n',
    ),
    'compose/alias-bomb',
  ],
  ['an alias inside its anchor', 'x-a: &a\n  b: *a\n', 'compose/alias-cycle'],
  ['an alias without anchor', 'x-a: *a\n', 'compose/unknown-alias'],
  ['10,000 nested lists', nested('[', ']', 10_000), 'compose/too-deep'],
  ['10,000 nested mappings', nested('{a: ', '}', 10_000), 'compose/too-deep'],
  ['10,000 nested block lists', `x-a:\n  ${'- '.repeat(10_000)}x\n`, 'compose/too-deep'],
  ['10,000 nested keys', `${'? '.repeat(10_000)}x\n`, 'compose/too-deep'],
  ['200 nested lists', nested('[', ']', 200), 'compose/too-deep'],
  ['a file of 10 MB', 'services: {}\n'.padEnd(10 << 20, '# padding\n'), 'compose/too-large'],
  ['invalid UTF-8', bytes('services: {a: {image: "', [0xff, 0xfe], '"}}'), 'compose/not-utf8'],
  ['UTF-16', bytes([0xff, 0xfe, 0x61, 0, 0x3a, 0]), 'compose/not-utf8'],
  ['a NUL byte', 'services: {a: {image: "x\0"}}', 'compose/not-text'],
  [
    'templates nested 5,000 deep',
    service(`user: "${'${A:-'.repeat(5000)}x${'}'.repeat(5000)}"`),
    'compose/interpolation-limit',
  ],
  ['100,000 open templates', service(`user: "${'${A:-'.repeat(100_000)}"`), 'compose/invalid-interpolation'],
  ['50,000 duplicate keys', `services: {a: {image: x}}\n${'x-a: 1\n'.repeat(50_000)}`, 'compose/more-findings'],
  ['a service that extends itself', service('extends: a'), 'compose/extends-cycle'],
  ['a service that depends on itself', service('depends_on: [a]'), 'compose/dependency-cycle'],
  ['a file that includes itself', `include: [compose.yaml]\n${service('user: x')}`, 'compose/include-cycle'],
  [
    'aliases of aliases, 10,000 deep',
    ['x-0: &k0 [x]', ...Array.from({ length: 10_000 }, (_, i) => `x-${i + 1}: &k${i + 1} [*k${i}]`)].join('\n'),
    'compose/too-deep',
  ],
  [
    '1,500 services in one chain of extends',
    `services:\n  s0: {image: x}\n${Array.from({ length: 1500 }, (_, i) => `  s${1500 - i}: {extends: s${1499 - i}}`).join('\n')}\n`,
    'compose/too-deep',
  ],
  [
    '5,000 references to services that do not exist',
    `services:\n${Array.from({ length: 5000 }, (_, i) => `  service${i}: {image: x, depends_on: [servize${i}]}`).join('\n')}\n`,
    'compose/more-findings',
  ],
  [
    'a merge of many keys, many times',
    `x-a: &a {${Array.from({ length: 20_000 }, (_, i) => `k${i}: v`).join()}}\nservices:\n${Array.from({ length: 100 }, (_, i) => `  s${i}: {image: x, labels: {<<: *a}}`).join('\n')}\n`,
    'compose/alias-bomb',
  ],
  [
    'many services that extend a large one',
    `services:\n  base: {image: x, labels: {${Array.from({ length: 20_000 }, (_, i) => `k${i}: v`).join()}}}\n${Array.from({ length: 100 }, (_, i) => `  s${i}: {extends: base}`).join('\n')}\n`,
    'compose/load-limit',
  ],
  [
    'a long variable, many times',
    `services:\n  a:\n    image: x\n    environment:\n${Array.from({ length: 100 }, (_, i) => `      K${i}: "x\${LONG}"`).join('\n')}\n`,
    'compose/load-limit',
  ],
  [
    'an env file that many services name',
    `services:\n${Array.from({ length: 100 }, (_, i) => `  s${i}: {image: x, env_file: long.env}`).join('\n')}\n`,
    'compose/load-limit',
  ],
  ['an env file that grows', service('env_file: growing.env'), 'compose/invalid-env-file'],
  [
    'a long file that is included many times',
    `include: [${Array.from({ length: 100 }, () => 'long.yaml').join()}]\n${service('user: x')}`,
    'compose/load-limit',
  ],
  [
    'every port, many times',
    service(`ports: [${Array.from({ length: 100 }, () => '1-65535').join()}]`),
    'compose/load-limit',
  ],
  ['a path as service name', 'services: {../../etc: {image: x}}', 'compose/invalid-name'],
  ['a newline in a service name', 'services: {"a\\nb": {image: x}}', 'compose/invalid-name'],
];

const LONG = 'x'.repeat(1_000_000);
const FILES = {
  '/p/long.env': `A=${LONG}\n`,
  '/p/long.yaml': `x-long: ${LONG}\n`,
  '/p/growing.env': [
    'A0=xxxxxxxxxxxxxxxx',
    ...Array.from({ length: 60_000 }, (_, i) => `A${i + 1}=\${A${Math.min(i, 15)}}\${A${Math.min(i, 15)}}`),
  ].join('\n'),
};

/** Of processor time: other tests run beside these. */
function millisecondsSince(started: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(started);
  return (user + system) / 1000;
}

it.each(HOSTILE)(
  '%s: one clear error, soon',
  async (_what, text, code) => {
    const started = process.threadCpuUsage();
    const reader = memoryReader({ ...FILES, '/p/compose.yaml': text });
    const error = await loadProject({ currentDirectory: '/p', environment: { LONG }, reader }).catch((e) => e);
    expect(error).toBeInstanceOf(ComposeError);
    expect((error as ComposeError).diagnostics.map((item) => item.code)).toContain(code);
    expect((error as ComposeError).diagnostics.length).toBeLessThanOrEqual(201);
    expect(millisecondsSince(started)).toBeLessThan(5000);
  },
  60_000,
);

it('F41: takes files of Windows: a mark of byte order, and both characters at the end of a line', async () => {
  const lines = [
    'services:',
    '  a:',
    '    image: x',
    '    env_file: a.env',
    '    command: |',
    '      one',
    '      two',
    '',
  ];
  const files = {
    '/p/compose.yaml': bytes([0xef, 0xbb, 0xbf], lines.join('\r\n')),
    '/p/a.env': bytes([0xef, 0xbb, 0xbf], 'A=1\r\nB=2\r\n'),
  };
  const { project } = await loadProject({ currentDirectory: '/p', environment: {}, reader: memoryReader(files) });
  expect(project.services.get('a')?.environment).toEqual(
    new Map([
      ['A', '1'],
      ['B', '2'],
    ]),
  );
  expect(project.services.get('a')?.command).toEqual(['one', 'two']);
});

it('names the whole path of a cycle', async () => {
  const chain =
    'services: {a: {image: x, depends_on: [b]}, b: {image: x, links: [c]}, c: {image: x, network_mode: "service:a"}}';
  const reader = memoryReader({ '/p/compose.yaml': chain });
  await expect(loadProject({ currentDirectory: '/p', environment: {}, reader })).rejects.toThrow('a → b → c → a');
});

it('keeps keys that objects have of their own', async () => {
  const text =
    'services: {__proto__: {image: x, environment: {__proto__: a, constructor: b, toString: c}}, constructor: {image: y}}';
  const reader = memoryReader({ '/p/compose.yaml': text });
  const { project } = await loadProject({ currentDirectory: '/p', environment: {}, reader });
  expect([...project.services.keys()]).toEqual(['__proto__', 'constructor']);
  expect(project.services.get('__proto__')?.environment).toEqual(
    new Map([
      ['__proto__', 'a'],
      ['constructor', 'b'],
      ['toString', 'c'],
    ]),
  );
  const json = JSON.parse(renderProject(project, { format: 'json' })) as { services: object };
  expect(Object.keys(json.services)).toEqual(['__proto__', 'constructor']);
});

it('loads 1,000 services with anchors, ports, volumes and dependencies in reasonable time', async () => {
  const services = Array.from({ length: 1000 }, (_, i) =>
    [
      `  s${i}:`,
      `    image: x:${i}`,
      '    environment: {<<: *e, N: 1}',
      `    ports: ["${10_000 + i}:80"]`,
      `    volumes: ["v${i % 50}:/data", "./src${i}:/src:ro"]`,
      `    depends_on: [${i === 0 ? '' : `s${i - 1}`}]`,
      '    healthcheck: {test: [CMD, x], interval: 5s}',
    ].join('\n'),
  );
  const volumes = Array.from({ length: 50 }, (_, i) => `  v${i}: {}`);
  const text = `x-e: &e {A: "1", B: "\${A:-x}"}\nservices:\n${services.join('\n')}\nvolumes:\n${volumes.join('\n')}\n`;
  const started = process.threadCpuUsage();
  const reader = memoryReader({ '/p/compose.yaml': text });
  const { project } = await loadProject({ currentDirectory: '/p', environment: {}, reader });
  expect(project.services.size).toBe(1000);
  // The budget is half a second on an idle machine; this bound only catches a change of order.
  expect(millisecondsSince(started)).toBeLessThan(5000);
}, 60_000);

/** Pieces from which most texts are nearly compose files. */
const PIECES = fc.constantFrom(
  ...[
    'services:',
    'networks:',
    '  a:',
    '    image: x',
    '    build: .',
    '    ports: [80]',
    '    ports:',
    '      - "80:80"',
  ],
  ...[
    '    environment: {A: 1}',
    '    environment: [A=1, B]',
    '    environment: &e',
    '      <<: *e',
    '      - A',
    '      K: $V',
  ],
  ...[
    '    depends_on: [b]',
    '    volumes: ["v:/x", {type: bind}]',
    '    extends: b',
    '    deploy: {replicas: two}',
    '---',
    'x-a: &e {b: c}',
  ],
  ...[
    '  b: !reset null',
    '  b: {image: y, extends: {file: compose.yaml, service: a}}',
    '    command: "a \'b"',
    '\t',
    '? [a]',
    ': b',
    'include: [o.yaml]',
  ],
);

it('ends every load in a model or in a ComposeError', async () => {
  const lines = fc.array(fc.oneof({ weight: 9, arbitrary: PIECES }, { weight: 1, arbitrary: fc.string() }), {
    maxLength: 14,
  });
  const one = async (text: string, other: string) => {
    const reader = memoryReader({ '/p/compose.yaml': text, '/p/o.yaml': other });
    const options = { currentDirectory: '/p', environment: {}, purpose: 'show' } as const;
    const first = await loadProject({ ...options, reader }).catch((error: unknown) => {
      if (!(error instanceof ComposeError)) throw error;
    });
    if (!first) return;
    const model = renderProject(first.project, { format: 'yaml' });
    const again = await loadProject({ ...options, reader: memoryReader({ '/p/compose.yaml': model }) });
    expect(renderProject(again.project, { format: 'yaml' })).toBe(model);
  };
  await fc.assert(
    fc.asyncProperty(lines, lines, (a, b) => one(a.join('\n'), b.join('\n'))),
    { numRuns: 400 },
  );
});

it('writes out more lines than a call has room for', async () => {
  const text = service('ports: ["1-65535", "1-65535/udp"]');
  const reader = memoryReader({ '/p/compose.yaml': text });
  const { project } = await loadProject({ currentDirectory: '/p', environment: {}, reader });
  expect(renderProject(project, { format: 'yaml' }).match(/target: /g)).toHaveLength(131_070);
}, 60_000);

// C09: names become those of containers, cgroups and paths.
it.each([
  ['services', 'a/b'],
  ['services', 'a b'],
  ['services', 'a\\u001b[2J'],
  ['services', 'a\\u202eb'],
  ['networks', '../a'],
  ['networks', 'a\\nb'],
  ['volumes', 'a/b'],
  ['volumes', 'a\\tb'],
  ['configs', 'a/b'],
  ['secrets', '../a'],
  ['models', 'a\\u0000b'],
])('%s: %j is no name', async (section, name) => {
  const body = section === 'services' ? '{image: x}' : '{}';
  const text = `x-first: line\n${section}:\n  "${name}": ${body}\n${section === 'services' ? '' : 'services: {ok: {image: x}}\n'}`;
  const reader = memoryReader({ '/p/compose.yaml': text });
  const error = await loadProject({ currentDirectory: '/p', environment: {}, reader }).catch((e) => e);
  expect(error).toBeInstanceOf(ComposeError);
  expect((error as ComposeError).diagnostics.map(({ code, at }) => [code, at?.line])).toContainEqual([
    'compose/invalid-name',
    3,
  ]);
});

it.each(['../x', 'a/b', 'A', 'a b', 'a\\nb', '-a', '\\u001b[2J', '..', '/'])(
  '%j becomes a project name that is one, or none',
  async (name) => {
    const text = `x-first: line\nname: "${name}"\nservices: {a: {image: x}}\n`;
    const reader = memoryReader({ '/p/compose.yaml': text });
    const loaded = await loadProject({ currentDirectory: '/p', environment: {}, reader }).catch((error) => error);
    if (loaded instanceof ComposeError) expect(loaded.diagnostics[0]).toMatchObject({ at: { line: 2 } });
    else expect(loaded.project.name).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
  },
);
