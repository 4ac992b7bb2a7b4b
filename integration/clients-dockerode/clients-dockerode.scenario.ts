import { PassThrough } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { leftovers } from '../kit/ledger.ts';

let daemon: TestDaemon;
let docker: Docker;

beforeAll(async () => {
  daemon = await startTestDaemon();
  docker = new Docker({ socketPath: daemon.socket });
  await daemon.importBusybox();
});

afterAll(async () => {
  expect(leftovers(await daemon.stop())).toEqual([]);
});

describe('dockerode', () => {
  it('runs a container attached and reads its result', async () => {
    const output = new PassThrough();
    const seen = readAll(output);
    const [result] = (await docker.run('busybox', ['sh', '-c', 'echo hi; exit 4'], output)) as [{ StatusCode: number }];
    output.end();
    expect(result.StatusCode).toBe(4);
    expect(await seen).toBe('hi\r\n');
  });

  it('attaches with a given-up connection and types', async () => {
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['cat'],
      OpenStdin: true,
      StdinOnce: true,
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const out = new PassThrough();
    container.modem.demuxStream(stream, out, out);
    stream.on('end', () => out.end());
    await container.start();
    stream.write('typed\n');
    stream.end();
    expect(await readAll(out)).toBe('typed\n');
    expect(await container.wait()).toMatchObject({ StatusCode: 0 });
    await container.remove();
  });

  it('executes with and without a given-up connection', async () => {
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '600'] });
    await container.start();
    const plain = await container.exec({ Cmd: ['echo', 'plain'], AttachStdout: true, Tty: true });
    expect(await readAll(await plain.start({ Tty: true }))).toBe('plain\r\n');
    const both = await container.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, Tty: false });
    const stream = await both.start({ hijack: true, stdin: true });
    const out = new PassThrough();
    container.modem.demuxStream(stream, out, out);
    stream.on('end', () => out.end());
    stream.write('through exec\n');
    stream.end();
    expect(await readAll(out)).toBe('through exec\n');
    expect(await both.inspect()).toMatchObject({ Running: false, ExitCode: 0 });
    await container.remove({ force: true });
  });

  it('follows logs and events', async () => {
    const events = await docker.getEvents({ filters: { type: ['container'] } });
    const actions = new Set<string>();
    events.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n'))
        actions.add((JSON.parse(line) as { Action: string }).Action);
    });
    const container = await docker.createContainer({
      Image: 'busybox',
      Cmd: ['sh', '-c', 'echo a; sleep 0.3; echo b'],
    });
    await container.start();
    const logs = await container.logs({ follow: true, stdout: true, stderr: true });
    const out = new PassThrough();
    container.modem.demuxStream(logs, out, out);
    logs.on('end', () => out.end());
    expect(await readAll(out)).toBe('a\nb\n');
    await container.remove({ force: true });
    expect([...actions]).toEqual(expect.arrayContaining(['create', 'start', 'die']));
    (events as unknown as { destroy(): void }).destroy();
  });
});
