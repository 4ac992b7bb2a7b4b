import { describe, expect, it } from 'vitest';
import { formatSarif, lint, listCodes, memoryReader } from '../index.ts';
import { LINT_RULES } from './lint-rules.ts';

const run = async (text: string, levels: Readonly<Record<string, string>> = {}) => {
  const options = {
    currentDirectory: '/p',
    environment: { V: 'x' },
    reader: memoryReader({ '/p/compose.yaml': text }),
  };
  return (await lint(options, new Map(Object.entries(levels)))).diagnostics;
};
const shown = async (text: string, levels?: Readonly<Record<string, string>>) =>
  (await run(text, levels)).map(({ severity, code, at }) => `${severity} ${code} ${at?.line}:${at?.column}`);

const a = (body: string, more = '') => `services:\n  a:\n    image: x:1\n    ${body}\n${more}`;

/** Rule, what breaks it with the place, what comes near and does not. */
const CASES: readonly (readonly [rule: string, bad: string, at: string, good: readonly string[]])[] = [
  [
    'latest-tag',
    'services: {a: {image: nginx}}',
    '1:16',
    ['services: {a: {image: "nginx:1"}}', 'services: {a: {image: nginx, build: .}}'],
  ],
  [
    'latest-tag',
    'services: {a: {image: "r:5000/x:latest"}}',
    '1:16',
    [`services: {a: {image: "x@sha256:${'a'.repeat(64)}"}}`],
  ],
  [
    'secret-in-environment',
    a('environment: {DB_PASSWORD: hunter2}'),
    '4:32',
    [
      a('environment: {DB_PASSWORD: "${V}"}'),
      a('environment: {DB_PASSWORD: }'),
      a('environment: {DB_PASSWORD_FILE: /x, KEYBOARD: us, SECRET: "true"}').replace('"true"', 'true'),
    ],
  ],
  ['secret-in-environment', a('environment: ["API_KEY=k"]'), '4:19', [a('environment: ["API_KEY=${V}"]')]],
  [
    'secret-in-environment',
    a('environment: {DATABASE_URL: "postgres://u:pw@h/db"}'),
    '4:33',
    [a('environment: {DATABASE_URL: "postgres://u@h:5/db"}'), a('environment: {DATABASE_URL: "postgres://u:${P}@h/"}')],
  ],
  ['secret-in-environment', a('build: {context: ., args: {TOKEN: t}}'), '4:39', []],
  [
    'exposed-database',
    a('ports: ["5432:5432"]'),
    '4:13',
    [
      a('ports: ["127.0.0.1:5432:5432"]'),
      a('ports: ["5432"]'),
      a('ports: ["80:80"]'),
      `x-tscompose: {publish: loopback}\n${a('ports: ["5432:5432"]')}`,
    ],
  ],
  [
    'missing-healthcheck',
    a('depends_on: {b: {condition: service_healthy}}', '  b: {image: "x:1"}'),
    '4:18',
    [
      a('depends_on: {b: {condition: service_healthy}}', '  b: {image: "x:1", healthcheck: {test: x}}'),
      a('depends_on: [b]', '  b: {image: "x:1"}'),
    ],
  ],
  ['privileged', a('privileged: true'), '4:5', [a('privileged: false')]],
  ['privileged', a('cap_add: [SYS_ADMIN]'), '4:15', [a('cap_add: [NET_ADMIN]')]],
  [
    'engine-socket',
    a('volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]'),
    '4:15',
    [a('volumes: ["/var/run:/x"]')],
  ],
  ['host-namespace', a('network_mode: host'), '4:5', [a('network_mode: none')]],
  [
    'port-clash',
    a('ports: ["80:80"]', '  b: {image: "x:1", ports: ["80:81"]}'),
    '5:29',
    [a('ports: ["80:80"]', '  b: {image: "x:1", ports: ["80:80/udp", "127.0.0.1:81:80"]}')],
  ],
  [
    'unused-network',
    a('user: x', 'networks: {n: }'),
    '5:12',
    [a('networks: [n]', 'networks: {n: }'), a('profiles: [p]\n    networks: [n]', 'networks: {n: }')],
  ],
  ['unused-volume', a('user: x', 'volumes: {vol: }'), '5:11', [a('volumes: ["vol:/v"]', 'volumes: {vol: }')]],
  [
    'unused-secret',
    a('user: x', 'secrets: {s: {file: ./s}}'),
    '5:11',
    [a('secrets: [s]', 'secrets: {s: {file: ./s}}')],
  ],
  [
    'unused-config',
    a('user: x', 'configs: {c: {file: ./s}}'),
    '5:11',
    [a('configs: [c]', 'configs: {c: {file: ./s}}')],
  ],
  ['unused-model', a('user: x', 'models: {m: {model: y}}'), '5:10', [a('models: [m]', 'models: {m: {model: y}}')]],
];

describe('rules', () => {
  it.each(CASES)('%s: %s', async (rule, bad, at, good) => {
    const level = LINT_RULES.find(({ name }) => name === rule)?.level;
    expect(await shown(bad)).toContain(`${level} lint/${rule} ${at}`);
    for (const text of good) expect((await run(text)).map(({ code }) => code)).not.toContain(`lint/${rule}`);
  });

  it('all have a case', () => {
    expect([...new Set(CASES.map(([rule]) => rule))]).toEqual(LINT_RULES.map(({ name }) => name));
  });
});

describe('levels', () => {
  const text = a('privileged: true');

  it('come from flags, the service, the file, the rule, in this order', async () => {
    expect(await shown(text)).toEqual(['warning lint/privileged 4:5']);
    expect(await shown(`x-lint: {privileged: error}\n${text}`)).toEqual(['error lint/privileged 5:5']);
    expect(await shown(`x-lint: [privileged]\n${text}`)).toEqual([]);
    expect(await shown(`x-lint: {privileged: error}\n${text}    x-lint: {privileged: off}\n`)).toEqual([]);
    expect(await shown(`x-lint: [privileged]\n${text}`, { privileged: 'warning' })).toEqual([
      'warning lint/privileged 5:5',
    ]);
  });

  it('that do not exist are named', async () => {
    expect(await shown(`x-lint: [nope]\nservices: {a: {image: "x:1"}}`)).toEqual(['warning lint/unknown-rule 1:10']);
    expect(await shown(`x-lint: {privileged: loud}\nservices: {a: {image: "x:1"}}`)).toEqual([
      'warning lint/unknown-rule 1:22',
    ]);
    await expect(run(text, { nope: 'off' })).rejects.toMatchObject({ code: 'compose/invalid' });
    await expect(run(text, { privileged: 'loud' })).rejects.toMatchObject({ code: 'compose/invalid' });
  });
});

it('gives the errors of a broken file and no more', async () => {
  expect(await shown('services:\n  a:\n    imge: x\n    privileged: true\n')).toEqual([
    'error compose/unknown-key 3:5',
  ]);
});

it('writes SARIF with every rule described and places relative to the folder', async () => {
  const log = JSON.parse(formatSarif(await run(a('privileged: true')), '/p', '1.0.0'));
  expect(log.version).toBe('2.1.0');
  expect(log.runs[0].tool.driver.rules).toEqual([
    { id: 'lint/privileged', shortDescription: { text: expect.any(String) } },
  ]);
  expect(log.runs[0].results[0]).toMatchObject({
    ruleId: 'lint/privileged',
    ruleIndex: 0,
    level: 'warning',
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: 'compose.yaml', uriBaseId: 'ROOT' },
          region: { startLine: 4, startColumn: 5, endColumn: 15 },
        },
      },
    ],
  });
});

it('lists every code once', () => {
  const codes = listCodes().map(([code]) => code);
  expect(new Set(codes).size).toBe(codes.length);
});
