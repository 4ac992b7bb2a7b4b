import { describe, expect, it } from 'vitest';
import { ComposeError, formatFindings, type LoadOptions, loadProject, memoryReader, renderForHash } from './index.ts';

const A = 'services: {a: {image: x}}\n';

function load(files: Record<string, string | Uint8Array>, options: Partial<LoadOptions> = {}) {
  const reader = memoryReader(files);
  return loadProject({ currentDirectory: '/home/ann/app', environment: {}, reader, ...options });
}

async function findings(files: Record<string, string | Uint8Array>, options: Partial<LoadOptions> = {}) {
  const error = await load(files, options).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ComposeError)) throw new Error('expected a ComposeError', { cause: error });
  return error.diagnostics.map(({ code, at }) => (at ? `${code} ${at.line}:${at.column}` : code));
}

describe('finding files', () => {
  it('looks in parents and takes the folder of the file as project folder', async () => {
    const { project } = await load({ '/home/ann/compose.yaml': A });
    expect(project).toMatchObject({
      name: 'ann',
      workingDirectory: '/home/ann',
      composeFiles: ['/home/ann/compose.yaml'],
    });
  });

  it('says where it looked', async () => {
    await expect(load({})).rejects.toMatchObject({ code: 'compose/not-found', hint: expect.stringContaining('-f') });
  });

  it('adds the override file', async () => {
    const files = {
      '/home/ann/app/compose.yml': A,
      '/home/ann/app/compose.override.yml': 'services: {a: {user: "1"}}',
    };
    expect((await load(files)).project.services.get('a')?.user).toBe('1');
  });

  it('takes COMPOSE_FILE with its separator, also from .env', async () => {
    const files = {
      '/home/ann/app/.env': 'COMPOSE_FILE=x/a.yaml,b.yaml\nCOMPOSE_PATH_SEPARATOR=,\n',
      '/home/ann/app/x/a.yaml': A,
      '/home/ann/app/b.yaml': 'services: {b: {image: y}}',
    };
    const { project } = await load(files);
    expect(project.composeFiles).toEqual(['/home/ann/app/x/a.yaml', '/home/ann/app/b.yaml']);
    expect(project.workingDirectory).toBe('/home/ann/app/x');
  });

  it('reads standard input, whose paths start at the current folder', async () => {
    const { project } = await load({ '-': 'services: {a: {build: ./b}}' }, { files: ['-'] });
    expect(project.services.get('a')?.build?.context).toBe('/home/ann/app/b');
  });

  it('moves relative paths with --project-directory', async () => {
    const files = { '/home/ann/app/sub/compose.yaml': 'services: {a: {build: ./b}}' };
    const { project } = await load(files, { files: ['sub/compose.yaml'], projectDirectory: '../other' });
    expect(project.workingDirectory).toBe('/home/ann/other');
    expect(project.services.get('a')?.build?.context).toBe('/home/ann/other/b');
  });
});

describe('naming', () => {
  const files = { '/home/ann/app/compose.yaml': `name: fromfile\n${A}` };
  it.each([
    [{}, 'fromfile'],
    [{ environment: { COMPOSE_PROJECT_NAME: 'fromenv' } }, 'fromenv'],
    [{ environment: { COMPOSE_PROJECT_NAME: 'fromenv' }, projectName: 'flag' }, 'flag'],
  ])('%j gives %s', async (options, name) => expect((await load(files, options)).project.name).toBe(name));

  it('refuses a name that engines refuse', async () => {
    expect(await findings(files, { projectName: 'Ä' })).toEqual(['compose/invalid-project-name']);
  });

  it('needs a name', async () => {
    expect(await findings({ '/___/compose.yaml': A }, { currentDirectory: '/___' })).toEqual([
      'compose/no-project-name',
    ]);
  });
});

describe('profiles', () => {
  const files = {
    '/home/ann/app/compose.yaml':
      'services: {a: {image: x}, b: {image: y, profiles: [p]}, c: {image: z, profiles: [p, q], depends_on: [b]}}',
  };
  it.each([
    [{}, ['a']],
    [{ profiles: ['p'] }, ['a', 'b', 'c']],
    [{ environment: { COMPOSE_PROFILES: 'p' } }, ['a', 'b', 'c']],
    [{ services: ['b'] }, ['a', 'b', 'c']],
    [{ profiles: ['*'] }, ['a', 'b', 'c']],
  ])('%j activates %j', async (options, names) => {
    const { project } = await load(files, options);
    expect([...project.services.keys()]).toEqual(names);
    expect(project.disabledServices.size).toBe(3 - names.length);
  });

  it('names the profile that an inactive dependency needs', async () => {
    await expect(load(files, { profiles: ['q'] })).rejects.toMatchObject({
      hint: expect.stringContaining('--profile p'),
    });
  });

  it('suggests a service for a wrong name on the command line', async () => {
    await expect(
      load({ '/home/ann/app/compose.yaml': 'services: {frontend: {image: x}}' }, { services: ['fronted'] }),
    ).rejects.toMatchObject({ hint: 'did you mean frontend?' });
  });
});

it('names what is unfinished when asked not to check it', async () => {
  const text = 'services: {a: {environment: [A=1], volumes: ["data:/data"]}}\nvolumes: {data: {}}';
  const reader = memoryReader({ '/home/ann/app/compose.yaml': text });
  const options = { currentDirectory: '/home/ann/app', environment: {}, reader };
  await expect(loadProject(options)).rejects.toThrow('neither image nor build');
  const { project } = await loadProject(options, ['check-consistency']);
  expect([...project.services.keys(), ...project.volumes.keys()]).toEqual(['a', 'data']);
});

it('hashes limits of devices under the names they have in docker compose', async () => {
  const limits = '{device_read_bps: [{path: /dev/a, rate: 1mb}], weight_device: [{path: /dev/b, weight: 400}]}';
  const text = `services: {a: {image: x, blkio_config: ${limits}}}`;
  const { project } = await load({ '/home/ann/app/compose.yaml': text }, { purpose: 'show' });
  const service = project.services.get('a');
  expect(service && renderForHash(service)).toContain(
    '{"weight_device":[{"Path":"/dev/b","Weight":400}],"device_read_bps":[{"Path":"/dev/a","Rate":"1048576"}]}',
  );
});

it('lets some of the files say nothing, but not all', async () => {
  const folder = '/home/ann/app';
  const files = { [`${folder}/compose.yaml`]: '', [`${folder}/compose.override.yaml`]: '# later\n' };
  expect(await findings(files)).toEqual(['compose/empty-file 1:1']);
  expect((await load({ ...files, [`${folder}/compose.override.yaml`]: A })).project.services.has('a')).toBe(true);
  const extending = 'services: {a: {image: x, extends: {file: base.yaml, service: b}}}';
  expect(await findings({ [`${folder}/compose.yaml`]: extending, [`${folder}/base.yaml`]: '# later\n' })).toEqual([
    'compose/unknown-service 1:42',
  ]);
});

describe('attributes not carried out', () => {
  const files = {
    '/home/ann/app/compose.yaml': 'services:\n  a:\n    image: x\n    gpus: all\n    isolation: hyperv\n',
  };
  it('are errors with their place when the stack is to run', async () => {
    expect(await findings(files)).toEqual(['compose/unsupported-attribute 4:5', 'compose/windows-only 5:5']);
  });
  it('are kept for config, a warning naming the Windows-only one', async () => {
    const { project, warnings } = await load(files, { purpose: 'show' });
    expect(project.services.get('a')).toMatchObject({ gpus: [{ count: -1 }], isolation: 'hyperv' });
    expect(warnings.map(({ code }) => code)).toEqual(['compose/windows-only']);
  });
  it('refuses a build for another machine', async () => {
    const yaml = 'services: {a: {build: {context: ., platforms: [linux/arm64]}}}';
    expect(await findings({ '/home/ann/app/compose.yaml': yaml }, { hostPlatform: 'linux/amd64' })).toEqual([
      'compose/unsupported-attribute 1:48',
    ]);
  });
  it('lets empty ones pass', async () => {
    await load({ '/home/ann/app/compose.yaml': 'services: {a: {image: x, gpus: [], use_api_socket: false}}' });
  });
});

it('reports every problem of all files in one run, warnings among them', async () => {
  const files = {
    '/home/ann/app/compose.yaml':
      'version: "3"\nservices:\n  web:\n    image: x:$TAG\n    imag: x\n    ports: ["80:a"]\n',
    '/home/ann/app/compose.override.yaml': 'services:\n  web:\n    depends_on: [wbe]\n    networks: [n]\n    tty: 5\n',
  };
  expect(await findings(files)).toEqual([
    'compose/obsolete-version 1:1',
    'compose/unset-variable 4:14',
    'compose/unknown-key 5:5',
    'compose/invalid-port 6:13',
    'compose/unknown-service 3:18',
    'compose/unknown-network 4:16',
    'compose/wrong-type 5:10',
  ]);
});

it('shows the place, the reason and the next step', async () => {
  const error = await load({
    '/home/ann/app/compose.yaml': 'services:\n  web:\n    image: x\n    comand: [a]\n',
  }).catch((e) => e);
  expect(error.message).toBe('/home/ann/app/compose.yaml:4:5: unknown key "comand" in services.web');
  expect(formatFindings(error.diagnostics, error.sources)).toBe(
    [
      '/home/ann/app/compose.yaml:4:5: error: unknown key "comand" in services.web [compose/unknown-key]',
      '  4 |     comand: [a]',
      '    |     ^^^^^^',
      '  hint: did you mean command?',
    ].join('\n'),
  );
});

it('tells where a value was written', async () => {
  const { locate } = await load({
    '/home/ann/app/compose.yaml': 'services:\n  web:\n    image: x\n    ports:\n      - 80:80\n',
  });
  expect(locate(['services', 'web', 'ports', '0'])).toMatchObject({ line: 5, column: 9 });
  expect(locate(['services', 'web', 'nothing', 'here'])).toMatchObject({ line: 2, column: 3 });
});

it('names missing env files, included files and extended files where they are asked for', async () => {
  const yaml =
    'include: [nope.yaml]\nservices:\n  a: {image: x, env_file: no.env}\n  b: {extends: {file: no.yaml, service: b}, image: y}\n';
  expect(await findings({ '/home/ann/app/compose.yaml': yaml })).toEqual([
    'compose/no-file 1:11',
    'compose/no-file 3:27',
    'compose/no-file 4:23',
  ]);
});
