import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/host/index.ts';

// Files that a compose file names may be anything: the command says so at the place that names them, and reads none without end.
const COMMAND = resolve(import.meta.dirname, '../../src/launch/tscompose');
/** KiB that the command may write to: what Node reserves at its start, and less than the largest file below. */
const MEMORY = 1536 << 10;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync('/tmp/tsc-hostile-');
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'huge'), 'A=1\n');
  truncateSync(join(folder, 'huge'), 2 ** 31);
  return () => rmSync(folder, { recursive: true, force: true });
});

// A limit of the kernel: the launcher lets no setting of Node in.
const config = (...args: string[]) =>
  runProgram('/bin/sh', ['-c', `ulimit -d ${MEMORY}; exec "$@"`, 'sh', COMMAND, ...args, 'config'], {
    cwd: folder,
    environment: { PATH: process.env['PATH'] ?? '', HOME: folder },
    signal: AbortSignal.timeout(30_000),
  });

const PLACES: readonly (readonly [place: string, yaml: (path: string) => string, at: string])[] = [
  ['env_file', (path) => `services:\n  a:\n    image: x\n    env_file: ${path}\n`, '4:15'],
  ['label_file', (path) => `services:\n  a:\n    image: x\n    label_file: [${path}]\n`, '4:18'],
  ['extends', (path) => `services:\n  a:\n    extends: {file: ${path}, service: b}\n`, '3:21'],
  ['include', (path) => `name: x\ninclude:\n  - ${path}\n`, '3:5'],
];

describe.each(PLACES)('%s', (_place, yaml, at) => {
  it.each([
    ['a pipe', 'fifo', 'is not a regular file'],
    ['a device without end', '/dev/zero', 'is not a regular file'],
    ['a folder', 'folder', 'is not a regular file'],
    ['a file of 2 GiB', 'huge', 'is larger than'],
    ['a file below a file', 'huge/x', 'does not exist'],
    // Both say that they are regular files of no size.
    ['a file of /proc without end', '/proc/self/pagemap', 'is larger than'],
    ['a file of /proc that waits', '/proc/kmsg', 'cannot read'],
  ])('%s', async (_what, path, says) => {
    writeFileSync(join(folder, 'compose.yaml'), yaml(path));
    const { status, stdout, stderr } = await config();
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(`compose.yaml:${at}: error: `);
    expect(stderr).toContain(says);
  });
});

it.each(['fifo', '/dev/zero', 'folder', 'huge'])('-f %s', async (path) => {
  const { status, stdout, stderr } = await config('-f', path);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toContain('cannot read');
});

describe.each([
  ['beside the compose file', 'name: x\nservices: {a: {image: "$Q"}}\n', '.env'],
  ['beside an included file', 'name: x\ninclude: [{path: compose.yaml, project_directory: sub}]\n', 'sub/.env'],
])('.env %s', (_place, yaml, path) => {
  const write = () => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'first.yaml'), yaml);
    writeFileSync(join(folder, 'compose.yaml'), 'services: {a: {image: "x$Q"}}\n');
  };

  it.each([
    ['a pipe', 'fifo', 'is not a regular file'],
    ['a device without end', '/dev/zero', 'is not a regular file'],
    ['a file of 2 GiB', 'huge', 'is larger than'],
  ])('%s', async (_what, target, says) => {
    write();
    symlinkSync(resolve(folder, target), join(folder, path));
    const { status, stdout, stderr } = await config('-f', 'first.yaml');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(`cannot read ${join(folder, path)}`);
    expect(stderr).toContain(says);
  });

  it('a folder, which is none', async () => {
    write();
    mkdirSync(join(folder, path));
    expect((await config('-f', 'first.yaml')).stderr).toContain('the variable Q is not set');
  });
});

it('files that include each other 1,000 deep', async () => {
  for (let i = 0; i < 1000; i++) writeFileSync(join(folder, `${i}.yaml`), `include: [${i + 1}.yaml]\n`);
  writeFileSync(join(folder, '1000.yaml'), 'services: {a: {image: x}}\n');
  const { status, stderr } = await config('-f', '0.yaml');
  expect(status).toBe(1);
  expect(stderr).toMatch(/\d+\.yaml:1:11: error: more than 100 files include each other/);
});

it('F43: 1,000 services, 200 networks and 5,000 labels fit', async () => {
  const many = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('');
  const labels = many(5, (i) => `      label${i}: value\n`);
  const services = many(1000, (i) => `  s${i}:\n    image: x\n    networks: [n${i % 200}]\n    labels:\n${labels}`);
  writeFileSync(
    join(folder, 'compose.yaml'),
    `name: x\nservices:\n${services}networks:\n${many(200, (i) => `  n${i}: {}\n`)}`,
  );
  const { status, stdout, stderr } = await config();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.match(/label4: value/g)).toHaveLength(1000);
});
