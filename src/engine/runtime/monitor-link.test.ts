import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeFrame, FRAME } from './frame-codec.ts';
import { connectMonitor, type MonitorLink } from './monitor-link.ts';

let directory = '';
let close = () => {};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-link-'));
});
afterEach(() => {
  close();
  rmSync(directory, { recursive: true });
});

/** A monitor that gives one answer to everything, then speaks the events. */
async function monitorWith(answer: object, ...events: object[]): Promise<MonitorLink> {
  const path = join(directory, 'm.sock');
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(encodeFrame(FRAME.reply, JSON.stringify({ id: 1, ok: true, ...answer })));
      for (const event of events) socket.write(encodeFrame(FRAME.event, JSON.stringify(event)));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  close = () => void server.close();
  return connectMonitor(path);
}

const END = { event: 'exit', id: 'x', exit_code: 3, finished_at: '2026-01-01T00:00:00Z' };

it('understands a monitor that was started before versions were told', async () => {
  await using link = await monitorWith({ state: 'running', pid: 7 }, END);
  expect(await link.state()).toEqual({ state: 'running', pid: 7, startTime: 0, logLost: 0, protocol: 1 });
  expect(await link.exit).toMatchObject({ exitCode: 3, logLost: 0, oomKilled: false });
});

it('understands a later monitor that says so, and ignores events it does not know', async () => {
  await using link = await monitorWith(
    { state: 'running', pid: 7, protocol: 99, compatible: 2, more: true },
    { event: 'eclipse' },
    END,
  );
  expect((await link.state()).protocol).toBe(99);
  expect((await link.exit).exitCode).toBe(3);
});

it('refuses a later monitor that this side cannot know', async () => {
  await using link = await monitorWith({ state: 'running', pid: 7, protocol: 99, compatible: 98 });
  await expect(link.state()).rejects.toMatchObject({ code: 'monitor/unsupported', message: /needs protocol 98/ });
});
