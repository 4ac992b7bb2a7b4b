import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon, waitUntil } from '../kit/daemon.ts';
import { type CliProject, cliProject } from '../stack-up/run-cli.ts';

// An edit reaches the container: by sync, by restart, by rebuild.
let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await startTestDaemon();
  await daemon.importBusybox();
});

afterAll(async () => {
  await daemon.stop();
});

const COMPOSE = `
services:
  web:
    build: .
    init: true
    develop:
      watch:
        - { path: ./page, action: sync, target: /page, ignore: ["*.tmp"] }
        - { path: ./job.sh, action: sync+restart, target: /job.sh }
        - { path: ./Dockerfile, action: rebuild }
`;
const DOCKERFILE = 'FROM busybox\nCOPY page /page\nCOPY job.sh /job.sh\nENV BUILD=one\nCMD ["sh", "/job.sh"]\n';
const job = (version: string) => `echo job ${version}; exec sleep 600\n`;

it('syncs, deletes, restarts and rebuilds while up --watch runs', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': COMPOSE,
    Dockerfile: DOCKERFILE,
    'job.sh': job('one'),
    'page/index.html': 'one',
    'page/old.html': 'old',
  });
  const child = project.start(['up', '--build', '--watch']);
  const output = follow(child);
  try {
    await output.until('Watching');
    const exec = async (...command: string[]) => (await project.run(['exec', '-T', 'web', ...command])).stdout;
    expect(await exec('cat', '/page/index.html')).toBe('one');

    edit(project, 'page/index.html', 'two');
    await output.until('synced 1 file (index.html');
    expect(await exec('cat', '/page/index.html')).toBe('two');

    await rm(join(project.folder, 'page/old.html'));
    await output.until('synced 1 file (old.html');
    expect(await exec('ls', '/page')).toBe('index.html\n');

    edit(project, 'job.sh', job('two'));
    await output.until('web-1  | job two');
    expect(await exec('cat', '/page/index.html')).toBe('two');

    edit(project, 'Dockerfile', DOCKERFILE.replace('BUILD=one', 'BUILD=two'));
    await output.until('rebuilt');
    expect(await exec('sh', '-c', 'echo $BUILD')).toBe('two\n');

    edit(project, 'Dockerfile', 'FROM busybox\nRUN exit 9\n');
    await output.until('build failed');
    expect(await exec('sh', '-c', 'echo $BUILD')).toBe('two\n');
  } finally {
    child.kill('SIGINT');
    await new Promise((resolve) => child.on('close', resolve));
    await project.run(['down', '-v', '-t', '1', '--rmi', 'local']);
  }
});

it('C08: a link is copied as a link, and what it leads to stays where it is', async () => {
  using project = cliProject(daemon.host, {
    'compose.yaml': `
services:
  web:
    image: busybox
    command: sleep 600
    init: true
    develop: { watch: [{ path: ./page, action: sync, target: /page, initial_sync: true }] }
`,
    'secret/key': 'SECRET',
    'page/first': 'one',
  });
  const at = (path: string) => join(project.folder, path);
  const links = { file: at('secret/key'), up: '../secret', itself: 'itself', nowhere: '/nowhere' };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, at(`page/early-${name}`));
  const child = project.start(['up', '--watch']);
  const output = follow(child);
  try {
    await output.until('Watching');
    for (const [name, target] of Object.entries(links)) symlinkSync(target, at(`page/late-${name}`));
    // A folder that was content and becomes a way out.
    mkdirSync(at('page/folder'));
    edit(project, 'page/folder/key', 'content');
    const exec = async (command: string) => (await project.run(['exec', '-T', 'web', 'sh', '-c', command])).stdout;
    await waitUntil(30_000, async () => (await exec('cat /page/folder/key')) === 'content');
    rmSync(at('page/folder'), { recursive: true });
    symlinkSync(at('secret'), at('page/folder'));
    await waitUntil(30_000, async () => (await exec('test -L /page/folder && echo link')) === 'link\n');
    edit(project, 'page/last', 'two');
    await waitUntil(30_000, async () => (await exec('cat /page/last')) === 'two');
    for (const [name, target] of Object.entries(links))
      for (const when of ['early', 'late'])
        expect([when, name, await exec(`readlink /page/${when}-${name}`)]).toEqual([when, name, `${target}\n`]);
    expect(await exec('find / -xdev -name key | xargs -r cat')).not.toContain('SECRET');
  } finally {
    child.kill('SIGINT');
    await new Promise((resolve) => child.on('close', resolve));
    await project.run(['down', '-v', '-t', '1']);
  }
});

function edit(project: CliProject, path: string, text: string): void {
  writeFileSync(join(project.folder, path), text);
}

/** Output of a process; `until` resolves when the text appears after what earlier calls have consumed. */
function follow(child: ReturnType<CliProject['start']>) {
  let text = '';
  let consumed = 0;
  let wake: () => void = () => undefined;
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      wake();
    });
  child.on('close', () => wake());
  return {
    until: async (wanted: string) => {
      const deadline = Date.now() + 30_000;
      for (;;) {
        const at = text.indexOf(wanted, consumed);
        if (at >= 0) {
          consumed = at + wanted.length;
          return;
        }
        const left = deadline - Date.now();
        if (child.exitCode !== null || left <= 0) throw new Error(`no ${JSON.stringify(wanted)} in:\n${text}`);
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = setTimeout(resolve, left);
        await promise;
        clearTimeout(timer);
      }
    },
  };
}
