import { expect, it } from 'vitest';
import { absentBinds, ComposeError, loadProject, memoryReader } from './index.ts';

const service = (body: string) => `services:\n  a:\n    image: x\n    ${body}\n`;

/** What people get wrong most: text, severity and code, place, and the way out that the hint names. */
const MISTAKES: readonly (readonly [what: string, text: string, finding: string, at: string, hint: string])[] = [
  ['a tab', 'services:\n\ta:\n', 'error compose/tab-indent', '2:1', 'indent with spaces'],
  [
    'a port that old readers take for a number',
    service('ports:\n      - 22:22'),
    'warning compose/base-60',
    '5:9',
    '"22:22"',
  ],
  [
    'a mode without its zero',
    `${service('secrets: [{source: s, mode: 440}]')}secrets: {s: {file: s}}\n`,
    'warning compose/decimal-mode',
    '4:33',
    'write 0440',
  ],
  ['a misspelt network mode', service('network_mode: hosts'), 'warning compose/network-mode', '4:19', 'host?'],
  [
    'capital letters in the name of an image',
    'services:\n  a: {image: "ghcr.io/Me/App:V1"}\n',
    'warning compose/invalid-image',
    '2:14',
    'write ghcr.io/me/app:V1',
  ],
  ['yes for true', service('privileged: yes'), 'warning compose/yaml11-boolean', '4:17', 'write true'],
  ['on for true', service('init: on'), 'warning compose/yaml11-boolean', '4:11', 'write true'],
  [
    'an item given twice',
    service('group_add: [a, b, a]'),
    'error compose/duplicate-item',
    '4:23',
    'remove one of them',
  ],
  ['a key given twice', service('image: y'), 'error compose/duplicate-key', '4:5', 'keep one of the two'],
  [
    'a key indented too little',
    'services:\n  a:\n  image: x\n',
    'error compose/wrong-type',
    '3:10',
    'indent it below the service',
  ],
  [
    'a variable without quotes in braces',
    service('labels: {a: x-${V}}'),
    'error compose/yaml-syntax',
    '4:20',
    'inside { } and [ ]',
  ],
  ['a key indented too much', service(' user: "1"'), 'error compose/bad-indent', '4:6', 'same column as image'],
  [
    'a relative Windows path',
    service('volumes: [".\\\\src:/src"]'.replace(/"/g, "'").replace('\\\\', '\\')),
    'warning compose/windows-path',
    '4:15',
    'write ./src',
  ],
  [
    'an absolute Windows path',
    service("volumes: ['C:\\x:/y']"),
    'warning compose/windows-path',
    '4:15',
    'a path of this machine',
  ],
  [
    'a dollar in a password',
    service('environment: ["P=pa$word"]'),
    'warning compose/unset-variable',
    '4:24',
    'write $$',
  ],
  [
    'a dollar before a brace',
    service('command: "awk ${x.y}"'),
    'error compose/invalid-interpolation',
    '4:19',
    'write $$',
  ],
  [
    'a default with one character too few',
    'services:\n  a:\n    image: nginx:${TAG:latest}\n',
    'error compose/invalid-interpolation',
    '3:18',
    '${TAG:-latest}',
  ],
  [
    'a brace left open',
    'services:\n  a:\n    image: nginx:${TAG:-latest\n',
    'error compose/invalid-interpolation',
    '3:18',
    'close it with }',
  ],
  ['a restart policy misspelt', service('restart: on_failure'), 'error compose/invalid-value', '4:14', 'on-failure?'],
  [
    'one host port for two services',
    `${service('ports: ["80:80"]')}  b: {image: x, ports: ["80:81"]}\n`,
    'warning compose/port-conflict',
    '5:25',
    'another host port',
  ],
  [
    'ports on the network of the host',
    service('network_mode: host\n    ports: ["80:80"]'),
    'warning compose/no-effect',
    '5:13',
    'remove ports',
  ],
  ['no space after the colon', 'services:\n  a:\n    image:x\n', 'error compose/wrong-type', '3:5', 'image: x'],
  [
    'an equals sign for a colon',
    service('environment:\n      A=b'),
    'error compose/wrong-type',
    '5:7',
    'write A: b, or a list: - A=b',
  ],
  [
    'a colon in a list of assignments',
    service('environment:\n      - A: b'),
    'error compose/wrong-type',
    '5:9',
    'write - A=b',
  ],
  ['a key without its colon', 'services:\n  a:\n    image x\n', 'error compose/wrong-type', '3:5', 'image: x'],
  [
    'an image in place of a service',
    'services: {a: nginx}',
    'error compose/wrong-type',
    '1:15',
    'image: nginx below a',
  ],
  ['a file in place of a secret', 'secrets: {s: ./s}', 'error compose/wrong-type', '1:14', 's: {file: ./s}'],
  ['a port with a blank', service('ports:\n      - 8080: 80'), 'error compose/unknown-key', '5:9', 'without a blank'],
  [
    'a dash without a blank',
    service('ports:\n      -80:80'),
    'error compose/wrong-type',
    '5:7',
    'after the dash: - 80:80',
  ],
  [
    'a dash before a dependency with settings',
    service('depends_on:\n      - b: {condition: service_healthy}'),
    'error compose/wrong-type',
    '5:9',
    'leave the dash before b out',
  ],
  ['restart as a boolean', service('restart: yes'), 'error compose/invalid-value', '4:14', 'always'],
  ['a size in words', service('mem_limit: 512 megs'), 'error compose/invalid-value', '4:16', 'write 512m'],
  ['no limit in words', service('ulimits: {nofile: unlimited}'), 'error compose/invalid-value', '4:23', 'write -1'],
  ['true misspelt', service('tty: ture'), 'error compose/invalid-value', '4:10', 'true'],
  ['a subnet at the wrong place', 'networks: {n: {subnet: 10.0.0.0/8}}', 'error compose/unknown-key', '1:16', 'ipam'],
  ['a list left open', service('ports: ["80"'), 'error compose/yaml-syntax', '4:12', 'missing ]'],
  ['a brace left open', 'services: {a: {image: x}\n', 'error compose/yaml-syntax', '1:11', 'missing }'],
  ['no comma', service('command: ["a" "b"]'), 'error compose/yaml-syntax', '4:19', 'comma'],
  ['a merge conflict', service('<<<<<<< HEAD\n    user: a'), 'error compose/yaml-syntax', '4:5', 'one side'],
  ['a mount of nothing', service('volumes: [./a]'), 'warning compose/invalid-volume', '4:15', 'write ./a:/'],
  [
    'two merges',
    'x-a: &a {}\nservices:\n  a:\n    <<: *a\n    <<: *a\n',
    'error compose/duplicate-key',
    '5:5',
    '[*first',
  ],
  ['an include of nothing', 'include: [{env_file: x}]', 'error compose/missing-key', '1:11', 'name the file'],
  ['a blank before =', service('environment: ["A = 1"]'), 'error compose/invalid-name', '4:19', 'write A=value'],
  ['a service at the top', 'web:\n  image: x\n', 'error compose/unknown-key', '1:1', 'below `services:`'],
  ['a misspelt section', 'services: {a: {image: x}}\nvolume: {}\n', 'error compose/unknown-key', '2:1', 'volumes'],
  ['a misspelt key', service('enviroment: {}'), 'error compose/unknown-key', '4:5', 'environment'],
  ['a key of the old format', service('net: host'), 'error compose/unknown-key', '4:5', 'network_mode'],
  ['a list of services', 'services:\n  - a\n', 'error compose/wrong-type', '2:3', 'dashes'],
  ['one port without a list', service('ports: "80:80"'), 'error compose/wrong-type', '4:12', '["80:80"]'],
  [
    'half a condition',
    service('depends_on: {b: {condition: healthy}}\n  b: {image: x}'),
    'error compose/invalid-value',
    '4:33',
    'service_healthy',
  ],
  ['a comma in a number', service('cpus: 0,5'), 'error compose/invalid-value', '4:11', '0.5'],
  ['a time without unit', service('healthcheck: {test: x, interval: 10}'), 'error compose/wrong-type', '4:38', '10s'],
  ['an undeclared volume', service('volumes: ["dd:/d"]'), 'error compose/unknown-volume', '4:15', 'top-level volumes'],
  [
    'a misspelt dependency',
    service('depends_on: [bb]\n  db: {image: x}'),
    'error compose/unknown-service',
    '4:18',
    'db',
  ],
  ['an open quote', "services:\n  a:\n    image: 'x\n", 'error compose/yaml-syntax', '3:12', 'close it'],
  ['an anchor that is not there', service('user: *u'), 'error compose/unknown-alias', '4:11', 'define the anchor'],
  [
    'a value that starts with @',
    'services:\n  a:\n    image: @x\n',
    'error compose/yaml-syntax',
    '3:12',
    'needs quotes',
  ],
];

it.each(MISTAKES)('%s: named at its place, with the way out', async (_what, text, finding, at, hint) => {
  const options = { currentDirectory: '/p', environment: {}, reader: memoryReader({ '/p/compose.yaml': text }) };
  const found = await loadProject(options).then(
    ({ warnings }) => warnings,
    (error: unknown) => {
      if (error instanceof ComposeError) return error.diagnostics;
      throw error;
    },
  );
  const shown = found.map((item) => ({
    finding: `${item.severity} ${item.code}`,
    at: `${item.at?.line}:${item.at?.column}`,
    hint: item.hint ?? '',
  }));
  expect(shown).toContainEqual({ finding, at, hint: expect.stringContaining(hint) });
});

it('tells of the other ending of a file name, and of nothing that follows from it', async () => {
  const reader = memoryReader({
    '/p/compose.yaml': 'services:\n  a:\n    extends: {file: base.yml, service: b}\n',
    '/p/base.yaml': 'services: {b: {image: x}}\n',
  });
  const error = await loadProject({ currentDirectory: '/p', environment: {}, reader }).catch((e: unknown) => e);
  expect((error as ComposeError).diagnostics).toMatchObject([
    { code: 'compose/no-file', at: { line: 3, column: 21 }, hint: 'did you mean base.yaml?' },
  ]);
});

it('tells of bind mounts of nothing', async () => {
  const reader = memoryReader({
    '/p/compose.yaml': service(
      'volumes:\n      - {type: bind, source: ./x, target: /x, bind: {create_host_path: false}}',
    ),
  });
  const loaded = await loadProject({ currentDirectory: '/p', environment: {}, reader });
  expect(await absentBinds(loaded, async () => true)).toEqual([]);
  expect(await absentBinds(loaded, async () => false)).toMatchObject([
    { code: 'compose/absent-bind', at: { line: 5, column: 22 } },
  ]);
});
