import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeFrames } from '../../src/engine/containers/frames.ts';
import { startTestDaemon, type TestDaemon } from '../kit/daemon.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';
import { closeMonitorGround, MonitorCase, openMonitorGround } from '../kit/monitor-case.ts';

// F23: who takes no output for 10 s while the process waits for it is cut off, and learns of it.

/** More than every buffer between the process and a reader holds. */
const FLOOD = 'head -c 30000000 /dev/zero | tr "\\0" x';
const PATIENCE = 40_000;

it('a monitor lets the process go on, and the late reader gets whole frames, the word and the end', async () => {
  const ground = await openMonitorGround();
  const flooded = join(ground.base, 'flooded');
  const one = new MonitorCase(ground.link, ground.base, 'cut');
  await one.spawn(`${FLOOD}; touch ${flooded}; exec sleep 1000`, { log: null });
  {
    await using monitor = await one.connect();
    await using late = await one.connect();
    let bytes = 0;
    let cutAfter = -1;
    late.onOutput(({ payload }) => {
      bytes += payload.length;
    });
    late.onCut(() => {
      cutAfter = bytes;
    });
    await late.attach({ stdout: true });
    late.pause();
    await monitor.start();
    await until('the process to be let go', () => existsSync(flooded), PATIENCE);
    expect(cutAfter).toBe(-1);
    late.resume();
    await late.closed;
    expect(cutAfter).toBe(bytes);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(30_000_000);
    await expect(late.exit).rejects.toMatchObject({ code: 'monitor/unavailable' });
    await monitor.kill(9);
    expect((await monitor.exit).error).toBeNull();
  }
  await closeMonitorGround(ground);
});

describe('clients of the daemon', () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await startTestDaemon();
    await daemon.importBusybox();
  });
  afterAll(async () => {
    expect(leftovers(await daemon.stop())).toEqual([]);
  });

  const script = `${FLOOD}; touch /flooded; exec sleep 1000`;

  async function run(name: string, options: Record<string, unknown>): Promise<void> {
    const made = await daemon.call('POST', `/containers/create?name=${name}`, { Image: 'busybox', ...options });
    expect(made.status, made.text()).toBe(201);
  }

  async function exec(name: string, options: Record<string, unknown>): Promise<string> {
    const made = await daemon.call('POST', `/containers/${name}/exec`, options);
    expect(made.status, made.text()).toBe(201);
    return made.json<{ Id: string }>().Id;
  }

  /** True when the process of the container has got past its flood. */
  async function isPast(name: string, file = '/flooded'): Promise<boolean> {
    const id = await exec(name, { Cmd: ['test', '-e', file] });
    expect((await daemon.call('POST', `/exec/${id}/start`, { Detach: true })).status).toBe(200);
    let code: number | null = null;
    await until('the look', async () => {
      code = (await daemon.call('GET', `/exec/${id}/json`)).json<{ ExitCode: number | null }>().ExitCode;
      return code !== null;
    });
    return code === 0;
  }

  /** A connection that is a stream of a process from now on, and not read. */
  async function hijack(path: string, body = ''): Promise<Socket> {
    const socket = connect(daemon.socket).pause();
    const head = [
      `POST /v1.44${path} HTTP/1.1`,
      'Host: docker',
      'Connection: Upgrade',
      'Upgrade: tcp',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    await once(socket, 'readable');
    return socket;
  }

  /** All that comes after the answer's head. */
  async function rest(socket: Socket): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    const all = Buffer.concat(chunks);
    return all.subarray(all.indexOf('\r\n\r\n') + 4);
  }

  /** The frames of a stream; the end must be the end of one. */
  async function framesOf(body: Buffer) {
    const frames: { stream: string; text: string }[] = [];
    let size = 0;
    for await (const { stream, data } of decodeFrames(
      (async function* () {
        yield body;
      })(),
    )) {
      frames.push({ stream, text: data.toString('latin1') });
      size += 8 + data.length;
    }
    expect(size).toBe(body.length);
    return frames;
  }

  it('an attached one finds the word behind what it gets', async () => {
    await run('attached', { Cmd: ['sh', '-c', script] });
    const socket = await hijack('/containers/attached/attach?stream=1&stdout=1&stderr=1');
    expect((await daemon.call('POST', '/containers/attached/start')).status).toBe(204);
    await until('the process to be let go', () => isPast('attached'), PATIENCE);
    const frames = await framesOf(await rest(socket));
    expect(frames.at(-1)).toEqual({ stream: 'stderr', text: expect.stringContaining('cut off here') });
    expect(frames.slice(0, -1).every(({ stream, text }) => stream === 'stdout' && /^x+$/.test(text))).toBe(true);
    expect(daemon.log()).toContain('a client took no output and was cut off');
    expect((await daemon.call('DELETE', '/containers/attached?force=1')).status).toBe(204);
  });

  it('one of an exec is let go although its process goes on, with a terminal too', async () => {
    await run('execs', { Cmd: ['sleep', '1000'] });
    expect((await daemon.call('POST', '/containers/execs/start')).status).toBe(204);
    const ask = { Cmd: ['sh', '-c', script], AttachStdout: true, AttachStderr: true };
    const plain = await exec('execs', ask);
    const terminal = await exec('execs', {
      ...ask,
      Cmd: ['sh', '-c', script.replace('/flooded', '/flooded-too')],
      Tty: true,
    });
    const sockets = [
      await hijack(`/exec/${plain}/start`, '{}'),
      await hijack(`/exec/${terminal}/start`, '{"Tty":true}'),
    ] as const;
    await until(
      'both to be let go',
      async () => (await isPast('execs', '/flooded')) && isPast('execs', '/flooded-too'),
      PATIENCE,
    );
    expect((await framesOf(await rest(sockets[0]))).at(-1)?.text).toContain('cut off here');
    const shown = (await rest(sockets[1])).toString('latin1');
    expect(shown).toMatch(/^x+\r\ntscompose: cut off here: .*\r\n$/);
    for (const id of [plain, terminal])
      expect((await daemon.call('GET', `/exec/${id}/json`)).json()).toMatchObject({ Running: true });
    expect((await daemon.call('DELETE', '/containers/execs?force=1')).status).toBe(204);
  });
});
