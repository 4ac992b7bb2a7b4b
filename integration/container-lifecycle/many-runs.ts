import { readdirSync } from 'node:fs';
import { expect } from 'vitest';
import { readSession, TestEngine } from '../kit/engine.ts';
import { leftovers } from '../kit/ledger.ts';

/**
 * F36 and F37: one container is started so many times and ends at once. No output and no exit code is lost, and of all
 * the runs nothing stays: no descriptor of the engine, no process, no file.
 */
export async function runAgainAndAgain(count: number): Promise<void> {
  const test = await TestEngine.start();
  const { containers } = test.engine;
  await test.create('again', [
    'sh',
    '-c',
    'n=$(cat /n 2>/dev/null); n=$((n+1)); echo $n >/n; echo $n; exit $((n % 200))',
  ]);
  const once = async (round: number): Promise<void> => {
    const session = await containers.attach('again', {
      stdin: false,
      stdout: true,
      stderr: true,
      logs: false,
      stream: true,
    });
    const ended = containers.wait('again', 'next-exit');
    await containers.start('again');
    const { stdout } = await readSession(session);
    expect({ stdout, ...(await ended) }).toEqual({ stdout: `${round}\n`, exitCode: round % 200, error: '' });
  };
  await once(1);
  await once(2);
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let round = 3; round <= count; round++) await once(round);
  // A few come and go with the event loop's own business.
  expect(open()).toBeLessThan(before + 5);
  await containers.remove('again', {});
  expect(leftovers(await test.stop())).toEqual([]);
}
