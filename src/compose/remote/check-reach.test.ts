import { describe, expect, it } from 'vitest';
import { ComposeError, loadProject, memoryReader, type RemoteFiles, renderProject } from '../index.ts';

const ADDRESS = 'https://host.test/stack.git#main:sub';
const ROOT = '/cache/tree';

interface Given {
  readonly remote: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly main?: string;
  readonly trusted?: boolean;
}

function load({ remote, files = {}, main = `include: ["${ADDRESS}"]\n`, trusted = false }: Given) {
  const reads: string[] = [];
  const memory = memoryReader({ '/p/compose.yaml': main, [`${ROOT}/sub/compose.yaml`]: remote, ...files });
  const door: RemoteFiles = { fetch: async () => ({ file: `${ROOT}/sub/compose.yaml`, root: ROOT, trusted }) };
  const reader = {
    read: (path: string) => {
      reads.push(path);
      return memory.read(path);
    },
  };
  const options = { currentDirectory: '/p', environment: { HOME: '/home/u' }, reader, remote: door };
  const result = loadProject({ ...options, purpose: 'show' }).catch((error: unknown) => {
    if (error instanceof ComposeError) return error;
    throw error;
  });
  return result.then((outcome) => ({ outcome, reads }));
}

const service = (body: string) => `services:\n  a:\n    image: x\n    ${body}\n`;

/** What a remote file must not do unasked. */
const REACHES: readonly (readonly [what: string, text: string])[] = [
  ['an env file of the system', service('env_file: /etc/shadow')],
  ['an env file outside', service('env_file: ../../secret.env')],
  ['an env file of the user', service('env_file: ~/.aws/credentials')],
  ['an env file named by a variable', service('env_file: "$' + '{HOME}/x.env"')],
  ['an optional env file outside', service('env_file: [{path: ../../../x.env, required: false}]')],
  ['a label file outside', service('label_file: /etc/passwd')],
  ['a bind mount', service('volumes: ["/:/host"]')],
  ['a bind mount outside', service('volumes: ["../../data:/data"]')],
  ['the socket of the engine as bind mount', service('volumes: ["/var/run/docker.sock:/s"]')],
  ['a bind mount in the long form', service('volumes: [{type: bind, source: /etc, target: /x}]')],
  ['a build context', service('build: /home/u/src')],
  ['a build context outside', service('build: ../..')],
  ['an additional context', service('build: {context: ., additional_contexts: {x: /etc}}')],
  ['a Dockerfile outside', service('build: {context: ., dockerfile: ../../Dockerfile}')],
  ['the ssh agent', service('build: {context: ., ssh: [default]}')],
  ['a privileged build', service('build: {context: ., privileged: true}')],
  ['a watched folder', service('develop: {watch: [{path: /etc, action: sync, target: /x}]}')],
  ['a provider', 'services:\n  a:\n    provider: {type: rm}\n'],
  ['a hook after the start', service('post_start: [{command: id}]')],
  ['a hook before the stop', service('pre_stop: [{command: id}]')],
  ['the socket of the engine', service('use_api_socket: true')],
  ['all rights', service('privileged: true')],
  ['a device', service('devices: [/dev/sda]')],
  ['a credential file', service('credential_spec: {file: /etc/x}')],
  ['a secret file', `secrets: {s: {file: /etc/shadow}}\n${service('secrets: [s]')}`],
  ['a config file', `configs: {s: {file: ../../x}}\n${service('configs: [s]')}`],
  [
    'a volume that is a folder',
    `volumes: {v: {driver_opts: {type: none, o: bind, device: /etc}}}\n${service('volumes: ["v:/x"]')}`,
  ],
  [
    'a volume that is a disk',
    `volumes: {v: {driver_opts: {type: ext4, device: /dev/sda1}}}\n${service('volumes: ["v:/x"]')}`,
  ],
  ['an extended file outside', service('extends: {file: ../../other.yaml, service: b}')],
  ['an included file outside', 'include: [/p/compose.yaml]\n'],
  ['an included env file outside', 'include: [{path: other.yaml, env_file: /etc/shadow}]\n'],
  ['a project folder outside', 'include: [{path: other.yaml, project_directory: /}]\n'],
];

describe('a remote file', () => {
  it.each(REACHES)('may not have %s', async (_what, remote) => {
    const { outcome, reads } = await load({ remote, files: { [`${ROOT}/sub/other.yaml`]: service('tty: true') } });
    expect(outcome).toBeInstanceOf(ComposeError);
    const found = (outcome as ComposeError).diagnostics.filter(({ severity }) => severity === 'error');
    expect(found.map(({ code, at }) => [code, at?.file])).toEqual([
      ['compose/remote-reach', `${ROOT}/sub/compose.yaml`],
    ]);
    expect(found[0]?.hint).toContain(`--trust-remote '${ADDRESS}'`);
    // Nothing that it names has been looked at.
    const own = ['/p/', `${ROOT}/`];
    expect(reads.filter((path) => !own.some((folder) => path.startsWith(folder)))).toEqual([]);
  });

  it('may name what came with it', async () => {
    const remote = service(
      'build: ../app\n    env_file: ../a.env\n    volumes: ["./data:/data"]\n    privileged: false',
    );
    const { outcome } = await load({ remote, files: { [`${ROOT}/a.env`]: 'A=1\n' } });
    if (outcome instanceof ComposeError) throw outcome;
    const text = renderProject(outcome.project, { format: 'yaml' });
    expect(text).toContain(`context: ${ROOT}/app`);
    expect(text).toContain(`source: ${ROOT}/sub/data`);
    expect(text).toContain('A: "1"');
  });

  it('may do all that when it is trusted', async () => {
    const { outcome } = await load({ remote: service('volumes: ["/:/host"]\n    privileged: true'), trusted: true });
    if (outcome instanceof ComposeError) throw outcome;
    expect(renderProject(outcome.project, { format: 'yaml' })).toContain('source: /\n');
  });

  it('may use the folder that the including file names', async () => {
    const main = `include: [{path: "${ADDRESS}", project_directory: ./here}]\n`;
    const inside = await load({ main, remote: service('volumes: ["./data:/data"]') });
    if (inside.outcome instanceof ComposeError) throw inside.outcome;
    expect(renderProject(inside.outcome.project, { format: 'yaml' })).toContain('source: /p/here/data\n');
    const outside = await load({ main, remote: service('volumes: ["../data:/data"]') });
    expect(outside.outcome).toBeInstanceOf(ComposeError);
  });

  it('is watched when a service of it is extended', async () => {
    const main = `services: {b: {extends: {file: "${ADDRESS}", service: a}}}\n`;
    const { outcome } = await load({ main, remote: service('volumes: ["/:/host"]') });
    expect((outcome as ComposeError).diagnostics[0]).toMatchObject({ code: 'compose/remote-reach', at: { line: 4 } });
  });

  it('leaves the including file alone', async () => {
    const main = `include: ["${ADDRESS}"]\nservices:\n  a: {volumes: ["/etc:/etc"], privileged: true}\n`;
    const { outcome } = await load({ main, remote: service('tty: true') });
    if (outcome instanceof ComposeError) throw outcome;
    expect(renderProject(outcome.project, { format: 'yaml' })).toContain('privileged: true');
  });

  it('gives paths of command line files their start, and not the project its name', async () => {
    const reader = memoryReader({ [`${ROOT}/sub/compose.yaml`]: service('volumes: ["./d:/d"]'), '/p/.env': 'X=1\n' });
    const remote: RemoteFiles = {
      fetch: async () => ({ file: `${ROOT}/sub/compose.yaml`, root: ROOT, trusted: false }),
    };
    const { project } = await loadProject({
      files: [ADDRESS],
      currentDirectory: '/p',
      environment: {},
      reader,
      remote,
    });
    expect(project.name).toBe('p');
    expect(project.workingDirectory).toBe(`${ROOT}/sub`);
    expect(renderProject(project, { format: 'yaml' })).toContain(`source: ${ROOT}/sub/d\n`);
  });

  it('that cannot be fetched is reported where it is named', async () => {
    const reader = memoryReader({ '/p/compose.yaml': `name: x\ninclude:\n  - ${ADDRESS}\n` });
    const remote: RemoteFiles = { fetch: () => Promise.reject(new Error('no route')) };
    const error = await loadProject({ currentDirectory: '/p', environment: {}, reader, remote }).catch((e) => e);
    expect((error as ComposeError).diagnostics[0]).toMatchObject({
      code: 'compose/remote-file',
      message: `cannot fetch ${ADDRESS}: no route`,
      at: { file: '/p/compose.yaml', line: 3, column: 5 },
    });
  });

  it.each([
    ['a template', service('command: ["$' + '{HOME}", "$' + '{HOME}"]'), 4],
    ['a list item', service('environment: [HOME]'), 4],
    ['a key without a value', service('environment: {HOME: }'), 4],
    ['a secret', `secrets: {s: {environment: HOME}}\n${service('secrets: [s]')}`, 1],
  ])('tells of a variable that it reads: %s', async (_, remote, line) => {
    const { outcome } = await load({ remote });
    if (outcome instanceof ComposeError) throw outcome;
    expect(outcome.warnings).toMatchObject([{ code: 'compose/remote-variable', severity: 'warning', at: { line } }]);
    const { outcome: trusted } = await load({ remote, trusted: true });
    expect(trusted).toMatchObject({ warnings: [] });
  });
});
