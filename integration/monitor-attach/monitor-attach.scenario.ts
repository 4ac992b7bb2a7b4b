import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeFrame, FRAME, FrameDecoder, type KeeperLink } from '../../src/engine/runtime/index.ts';
import { connectUnix } from '../../src/host/index.ts';
import { type TestKeeper, until } from '../kit/keeper.ts';
import { closeMonitorGround, collectOutput, MonitorCase, openMonitorGround } from '../kit/monitor-case.ts';

let keeper: TestKeeper;
let link: KeeperLink;
let base: string;
beforeEach(async () => {
  ({ keeper, link, base } = await openMonitorGround());
});
afterEach(() => closeMonitorGround({ keeper, link, base }));

describe('attached clients', () => {
  it('all get the same, in whatever number, and one that leaves changes nothing for the others', async () => {
    const one = await new MonitorCase(link, base, 'one').spawn('cat; echo end', { stdin: true });
    await using owner = await one.connect();
    await owner.attach({ stdin: true });
    const readers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const monitor = await one.connect();
        const output = collectOutput(monitor);
        await monitor.attach({ stdout: true });
        return { monitor, output };
      }),
    );
    await owner.start();
    await owner.writeStdin('first\n');
    await until('the first line', () => readers.every(({ output }) => output.stdout() === 'first\n'));
    const [leaver, ...stayers] = readers;
    leaver?.monitor.close();
    // One comes back: from then on only.
    const again = await one.connect();
    const heard = collectOutput(again);
    await again.attach({ stdout: true });
    await owner.writeStdin('second\n');
    owner.endStdin();
    const ends = await Promise.all([...stayers.map(({ monitor }) => monitor.exit), again.exit]);
    expect(new Set(ends.map(({ exitCode }) => exitCode))).toEqual(new Set([0]));
    expect(new Set(stayers.map(({ output }) => output.stdout()))).toEqual(new Set(['first\nsecond\nend\n']));
    expect(leaver?.output.stdout()).toBe('first\n');
    expect(heard.stdout()).toBe('second\nend\n');
    for (const { monitor } of readers) monitor.close();
    again.close();
  });

  it('may end their side and still hear everything', async () => {
    const one = await new MonitorCase(link, base, 'one').spawn('sleep 0.3; seq 100000; exit 4');
    await using owner = await one.connect();
    const socket = await connectUnix(join(one.directory, 'run/m.sock'));
    socket.allowHalfOpen = true;
    const decoder = new FrameDecoder();
    let output = '';
    let end = '';
    socket.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.type === FRAME.stdout) output += frame.payload;
        if (frame.type === FRAME.event) end = frame.payload.toString();
      }
    });
    socket.end(encodeFrame(FRAME.request, '{"id":1,"op":"attach","stdout":true}'));
    await until('the half-closed side', () => socket.writableFinished);
    const ended = once(socket, 'end');
    await owner.start();
    await ended;
    expect(output).toBe(`${Array.from({ length: 100_000 }, (_, n) => n + 1).join('\n')}\n`);
    expect(JSON.parse(end)).toMatchObject({ event: 'exit', exit_code: 4 });
  });

  it('keep a container without stdin_once open for typing when one of them leaves', async () => {
    const one = await new MonitorCase(link, base, 'one').spawn('cat', { stdin: true });
    {
      await using first = await one.connect();
      await first.attach({ stdin: true });
      await first.start();
      await first.writeStdin('one\n');
      await until('the first line', async () => (await one.logged()) === 'one\n').catch(() => undefined);
    }
    await using second = await one.connect();
    await second.attach({ stdin: true });
    await second.writeStdin('two\n');
    second.endStdin();
    expect((await second.exit).exitCode).toBe(0);
    expect(await one.logged()).toBe('one\ntwo\n');
  });

  it('may ask for another size a thousand times: the last counts', async () => {
    const script = join(base, 'process');
    await writeFile(script, 'true');
    const one = await new MonitorCase(link, base, 'one').spawn('', {
      kind: 'exec',
      process: script,
      log: null,
      terminal: true,
    });
    await using monitor = await one.connect();
    await Promise.all(Array.from({ length: 1000 }, (_, n) => monitor.resize(n + 1, 80)));
    expect((await monitor.state()).state).toBe('created');
    await expect(monitor.resize(70_000, 1)).rejects.toMatchObject({ code: 'monitor/invalid' });
  });
});
