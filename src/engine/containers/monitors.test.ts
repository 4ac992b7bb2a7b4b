import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTimeOf } from '../../host/index.ts';
import { encodeFrame, FRAME, type KeeperLink } from '../runtime/index.ts';
import { createMonitorSpawner } from './monitors.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsc-monitors-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** What is found of a monitor of protocol 2 that gives one answer after the other. */
async function find(...answers: object[]) {
  const server = createServer((socket) => {
    let id = 0;
    socket.on('data', () => {
      const answer = { id: id + 1, ok: true, protocol: 2, ...answers[id++] };
      socket.write(encodeFrame(FRAME.reply, JSON.stringify(answer)));
    });
  });
  await new Promise<void>((resolve) => server.listen(join(directory, 'm.sock'), resolve));
  const found = await createMonitorSpawner({} as KeeperLink, '/nowhere').find(directory);
  const process = found?.monitor.process;
  found?.monitor.close();
  server.close();
  return process;
}

const running = { state: 'running', pid: process.pid };

it('an earlier monitor does not tell when its process was started: read while it surely has it', async () => {
  expect(await find(running, running)).toEqual({ pid: process.pid, startTime: await startTimeOf(process.pid) });
});

it('its process ended meanwhile: what was read may be of another', async () => {
  expect(await find(running, { state: 'stopped', pid: 0 })).toEqual({ pid: 0, startTime: 0 });
});
