import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { cliProject } from '../stack-up/run-cli.ts';

// Bad input ends with one clear message, a next step, and a status that is not 0.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  await daemon.stop();
});

const WEB = 'services:\n  web:\n    image: busybox\n';
const LOOP = '    command: sleep 60\n    init: true\n';

interface Case {
  readonly name: string;
  readonly compose?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Each must be in the error output. */
  readonly says: readonly (string | RegExp)[];
}

const CASES: readonly Case[] = [
  { name: 'a missing file', args: ['-f', 'none.yaml', 'up', '-d'], says: [/none\.yaml/, 'hint:'] },
  {
    name: 'no file at all',
    args: ['--project-directory', '/', '-f', '/nowhere/compose.yaml', 'config'],
    says: ['/nowhere/compose.yaml'],
  },
  { name: 'invalid YAML', compose: 'services:\n  web: [\n', says: [/compose\.yaml:\d+:\d+: error:/] },
  { name: 'an unknown key', compose: `${WEB}    imagee: x\n`, says: [/compose\.yaml:4:5: error:.*imagee/] },
  { name: 'a wrong type', compose: `${WEB}    ports: 80\n`, says: [/compose\.yaml:4:\d+: error:/, 'ports'] },
  {
    name: 'a variable that must be set',
    compose: 'services:\n  web:\n    image: "busybox:${TAG:?give a tag}"\n',
    says: [/compose\.yaml:3:\d+: error:/, 'give a tag'],
  },
  {
    name: 'an unknown service in depends_on',
    compose: `${WEB}    depends_on: [nope]\n`,
    says: [/compose\.yaml:4:\d+: error:.*nope/],
  },
  {
    name: 'a dependency cycle',
    compose: `${WEB}    depends_on: [api]\n  api:\n    image: busybox\n    depends_on: [web]\n`,
    says: [/compose\.yaml:\d+:\d+: error:/, /web.*api|api.*web/],
  },
  { name: 'an unknown service on the command line', compose: WEB, args: ['up', '-d', 'nope'], says: ['nope'] },
  {
    name: 'a missing image',
    compose: 'services:\n  web:\n    image: 127.0.0.1:9/no/such:image\n',
    says: ['service web: cannot pull image 127.0.0.1:9/no/such:image', 'hint:'],
  },
  {
    name: 'an image name that cannot be one',
    compose: 'services:\n  web:\n    image: Bad Image\n',
    says: ['service web: cannot pull image Bad Image: invalid image reference', 'hint:'],
  },
  {
    name: 'a container that the engine refuses',
    compose: `${WEB}    mem_limit: 1k\n`,
    says: [/service web: cannot create \S+-web-1: minimum memory limit/, 'left as it is: Network', 'hint:'],
  },
  {
    name: 'a missing image that may not be pulled',
    compose: 'services:\n  web:\n    image: nope\n    pull_policy: never\n',
    says: ['service web: image nope is missing', 'hint:'],
  },
  {
    name: 'a missing Dockerfile',
    compose: 'services:\n  web:\n    build: .\n',
    says: [/no Dockerfile in \/tmp\/tsc-cli-/, 'hint: create'],
  },
  {
    name: 'a failing build step',
    compose: 'services:\n  web:\n    build: .\n',
    files: { Dockerfile: 'FROM busybox\nRUN echo before && exit 7\n' },
    says: [/service web: build failed(?!.*cannot build)/, '7', 'before', 'Dockerfile'],
  },
  {
    name: 'a service that exits at once',
    compose: `${WEB}    command: sh -c 'echo no config; exit 3'\n`,
    says: [/service web: container \S+-web-1 exited with code 3/, 'no config'],
  },
  {
    name: 'a service that exits at once while attached',
    compose: `${WEB}    command: sh -c 'echo no config; exit 3'\n`,
    args: ['up'],
    says: [/service web: container \S+-web-1 exited with code 3/, 'no config'],
  },
  {
    name: 'a service that exits at once while --wait waits',
    compose: `${WEB}    command: sh -c 'echo no config; sleep 0.05; exit 3'\n`,
    args: ['up', '--wait'],
    says: [/service web: container \S+-web-1 exited with code 3/, 'no config'],
  },
  {
    name: 'a command that does not exist',
    compose: `${WEB}    command: nonsense\n`,
    says: ['service web: cannot start', 'nonsense', 'hint:'],
  },
  {
    name: 'a dependency that never becomes healthy',
    compose: `${WEB}${LOOP}    depends_on: { db: { condition: service_healthy } }
  db:
    image: busybox
    command: sh -c 'echo db is confused; sleep 60'
    healthcheck: { test: "echo probe says no; exit 1", interval: 0.1s, retries: 2 }\n`,
    says: ['service db: container', 'is unhealthy', 'probe says no', 'db is confused', 'Run the command again'],
  },
  {
    name: 'a dependency that is not healthy in time',
    args: ['up', '-d', '--wait', '--wait-timeout', '1'],
    compose: `${WEB}${LOOP}    healthcheck: { test: "exit 1", interval: 0.2s, start_period: 60s }\n`,
    says: ['is not ready after 1 s', 'hint:'],
  },
  {
    name: 'an attribute that is not carried out',
    compose: `${WEB}    gpus: all\n`,
    says: [/compose\.yaml:4:\d+: error:.*gpus/],
  },
  {
    name: 'contradicting flags',
    compose: WEB,
    args: ['up', '--force-recreate', '--no-recreate'],
    says: ['contradict'],
  },
  { name: 'an unknown flag', compose: WEB, args: ['up', '--nonsense'], says: ['--nonsense'] },
  {
    name: 'exec without a container',
    compose: WEB,
    args: ['exec', 'web', 'true'],
    says: ['no running container', 'hint:'],
  },
];

describe('the command ends clearly', () => {
  it.each(CASES)('on $name', async ({ compose, files, args, says }) => {
    using project = cliProject(daemon.host, { ...(compose && { 'compose.yaml': compose }), ...files });
    try {
      const { status, stderr } = await project.run(args ?? ['up', '-d']);
      expect(status, stderr).not.toBe(0);
      expect(status).not.toBe(70);
      for (const text of says) {
        if (typeof text === 'string') expect(stderr).toContain(text);
        else expect(stderr).toMatch(text);
      }
    } finally {
      await project.run(['-p', project.name, 'down', '-v', '-t', '1']);
    }
  });

  it('on a service that ends again and again, also when it was there before', async () => {
    using project = cliProject(daemon.host, {
      'compose.yaml': `${WEB}    command: sh -c 'echo no config; exit 3'\n    restart: always\n`,
    });
    await project.run(['up', '-d']);
    const restarting = async () =>
      (await project.run(['ps', '-a', '--format', 'json'])).stdout.includes('"restarting"');
    // The pauses between runs grow.
    await expect
      .poll(async () => [await restarting(), await restarting(), await restarting()], { timeout: 20_000 })
      .toEqual([true, true, true]);
    const { status, stderr } = await project.run(['up', '--wait']);
    await project.run(['down']);
    expect(stderr).toMatch(/web-1 exited with code 3 and is being restarted; it had to be ready/);
    expect(status).toBe(1);
  });

  it('on a port in use, before anything is made', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    using project = cliProject(daemon.host, {
      'compose.yaml': `${WEB}${LOOP}    ports: ["127.0.0.1:${port}:80"]\n`,
    });
    const { status, stderr } = await project.run(['up', '-d']);
    server.close();
    expect(status).toBe(1);
    expect(stderr).toContain(String(port));
    expect(stderr).toContain('publish another one');
    expect(stderr).toMatch(/compose\.yaml:\d+:\d+: error: .* is already used by \S+ \(process \d+\)/);
    expect(stderr).not.toContain('Created');
  });

  it('on an engine that is not there', async () => {
    using project = cliProject('unix:///tmp/tsc-nowhere.sock', { 'compose.yaml': WEB });
    const { status, stderr } = await project.run(['up', '-d']);
    expect(status).toBe(1);
    expect(stderr).toContain('cannot reach the engine at unix:///tmp/tsc-nowhere.sock');
  });
});
