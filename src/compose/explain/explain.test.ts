import { expect, it } from 'vitest';
import { explain, formatExplanation, memoryReader } from '../index.ts';

const FILES = {
  '/p/compose.yaml': `include: [inc/compose.yaml]
x-env: &env {SHARED: "\${SH:-d}"}
services:
  web:
    image: nginx:\${TAG:-1.0}
    ports: ["80:80"]
    environment: {<<: *env, A: 1, HOST: }
    env_file: a.env
    volumes: ["./src:/src"]
    command: a b
    labels: {my.dotted: x}
    build: ./app
  e:
    extends: {file: base.yaml, service: b}
    image: mine
  inner: {mem_limit: 1g}
`,
  '/p/o.yaml': `services:
  web:
    image: nginx:\${TAG:-2.0}-alpine
    ports: ["80:80", "81:81"]
    command: [c]
    environment: {A: 2}
    volumes: !reset []
`,
  '/p/base.yaml': 'services: {b: {image: base, user: "5", extends: c}, c: {user: "6", image: c, cpus: 1}}\n',
  '/p/inc/compose.yaml': 'services: {inner: {image: "i${V}${OF_TAG:+}"}}\n',
  '/p/inc/.env': 'V=7\nOF_TAG=${TAG}-inner\n',
  '/p/a.env': 'Z=1\nA=3\nFROM_TAG=t$TAG\n',
  '/p/.env': '# tags\nTAG=9\nSHELL_WINS=no\n',
};

const ask = async (subject: string) => {
  const found = await explain(
    {
      currentDirectory: '/p',
      files: ['compose.yaml', 'o.yaml'],
      environment: { HOST: 'h', SHELL_WINS: 'yes' },
      reader: memoryReader(FILES),
    },
    subject,
  );
  return `\n${formatExplanation(found).replaceAll('/p/', '')}`;
};

it('tells which file won and which variables took part', async () => {
  expect(await ask('services.web.image')).toBe(`
services.web.image = "nginx:9-alpine"
  1. ✗ compose.yaml:5:12  nginx:\${TAG:-1.0} — replaced by o.yaml:3: the later file wins
  2. ✓ o.yaml:3:12  nginx:\${TAG:-2.0}-alpine
  3. · TAG=9 from .env:2
`);
});

it('tells appended lists from replaced and reset ones', async () => {
  expect(await ask('services.web.ports')).toContain('the items of o.yaml:4 are appended; they replace "80:80"');
  expect(await ask('services.web.ports[1].target')).toContain('✓ o.yaml:4:22  "81:81"');
  expect(await ask('services.web.command')).toContain('✗ compose.yaml:10:14  a b — replaced by o.yaml:5');
  expect(await ask('services.web.volumes')).toBe(`
services.web.volumes has no value
  1. ✗ compose.yaml:9:14  ["./src:/src"] — !reset at o.yaml:7 removes it
  2. · o.yaml:7:21  [] — !reset removes what stands above
`);
});

it('follows anchors, env files, the environment and defaults', async () => {
  expect(await ask('services.web.environment.SHARED')).toBe(`
services.web.environment.SHARED = "d"
  1. ✓ compose.yaml:2:22  "\${SH:-d}" (through an anchor)
  2. · SH is not set; the default "d" is used
`);
  expect(await ask('services.web.environment.A')).toContain(
    '3. ✗ a.env:2:1  A=3 — environment of the service wins over files',
  );
  expect(await ask('services.web.environment.Z')).toContain('1. ✓ a.env:1:1  Z=1');
  expect(await ask('services.web.environment.HOST')).toContain('✓ HOST=h, taken over for the bare name');
  expect(await ask('services.web.labels.my.dotted')).toContain('= "x"');
  expect(await ask('networks.default.name')).toContain('implied by the specification');
  expect(await ask('services.web.build.context')).toContain('./app becomes app — relative to /p');
});

it('follows extends through files, and includes with their own variables', async () => {
  expect(await ask('services.e.user')).toBe(`
services.e.user = "5"
  1. ✗ base.yaml:1:63  "6" (service c, extended at base.yaml:1) — replaced by base.yaml:1: the later file wins
  2. ✓ base.yaml:1:35  "5" (service b, extended at compose.yaml:14)
`);
  expect(await ask('services.inner.image')).toContain('· V=7 from inc/.env:1');
  expect(await ask('services.inner')).toContain('merged key by key with compose.yaml:16');
});

it('explains variables: who sets them, who wins, who uses them', async () => {
  expect(await ask('TAG')).toBe(`
TAG = "9"
  1. ✓ .env:2:1  TAG=9
  2. · compose.yaml:5:12  used in nginx:\${TAG:-1.0}
  3. · o.yaml:3:12  used in nginx:\${TAG:-2.0}-alpine
`);
  expect(await ask('SHELL_WINS')).toBe(`
SHELL_WINS = "yes"
  1. ✗ .env:3:1  SHELL_WINS=no — the environment wins over env files
  2. ✓ SHELL_WINS=yes in the environment
`);
  expect(await ask('V')).toContain('for the included files only');
  expect(await ask('OF_TAG')).toContain('inc/.env:2:1  OF_TAG=9-inner');
  expect(await ask('services.web.environment.FROM_TAG')).toContain('a.env:3:1  FROM_TAG=t9');
});

it('refuses what nobody mentions', async () => {
  await expect(ask('services.web.nosuch')).rejects.toMatchObject({ code: 'compose/not-found' });
  await expect(ask('NOSUCH')).rejects.toMatchObject({ code: 'compose/not-found' });
});
