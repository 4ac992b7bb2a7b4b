import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSession, TestEngine } from '../kit/engine.ts';
import { until } from '../kit/keeper.ts';
import { leftovers } from '../kit/ledger.ts';

let test: TestEngine;
beforeAll(async () => {
  test = await TestEngine.start();
});
afterAll(async () => {
  expect(leftovers(await test.stop())).toEqual([]);
});

const state = async (name: string) => (await test.engine.containers.inspect(name)).state;

describe('a container runs to its end', () => {
  it('with its output apart by stream, its environment and its exit code', async () => {
    const result = await test.run('ends', ['sh', '-c', 'echo $A $HOME $HOSTNAME; echo e >&2; exit 3'], {
      config: { env: ['A=b'], hostname: 'box' },
    });
    expect(result).toEqual({ exitCode: 3, error: '', stdout: 'b /root box\n', stderr: 'e\n' });
    expect(await state('ends')).toMatchObject({ status: 'exited', exitCode: 3, pid: 0, oomKilled: false });
  });

  it('and again, with a log of both runs', async () => {
    await test.engine.containers.start('ends');
    await test.engine.containers.wait('ends', 'not-running');
    const lines: string[] = [];
    for await (const frame of await test.engine.containers.logs('ends', { stdout: true, stderr: true, tail: 3 }))
      lines.push(`${frame.stream} ${frame.data}`);
    expect(lines).toHaveLength(3);
    expect(lines).toContain('stderr e\n');
  });

  it('as the user and in the directory that were asked for', async () => {
    const { stdout } = await test.run('user', ['sh', '-c', 'id -u; id -g; id -G; pwd; stat -c %a /'], {
      config: { user: 'app', workdir: '/home/app/new' },
    });
    expect(stdout).toBe('1000\n1000\n1000 1001\n/home/app/new\n755\n');
  });

  it('as PID 1, or below a small init', async () => {
    expect((await test.run('first', ['sh', '-c', 'echo $$'])).stdout).toBe('1\n');
    const { stdout } = await test.run('second', ['sh', '-c', 'test $$ -gt 1 && echo below'], { host: { init: true } });
    expect(stdout).toBe('below\n');
  });

  it('and goes away by itself when asked to', async () => {
    await test.create('fleeting', ['true'], { host: { autoRemove: true } });
    const removed = test.engine.containers.wait('fleeting', 'removed');
    await test.engine.containers.start('fleeting');
    expect((await removed).exitCode).toBe(0);
    await expect(test.engine.containers.inspect('fleeting')).rejects.toMatchObject({ code: 'container/not-found' });
  });
});

describe('a fresh container is watched until it has come to rest', () => {
  const patience = { quietMs: 50, mostMs: 10_000 };
  it.each([
    ['one that waits', ['sleep', '600'], patience, 'rest'],
    [
      'one whose child works for a while first',
      ['sh', '-c', 'timeout 0.3 yes > /dev/null; sleep 600'],
      patience,
      'rest',
    ],
    ['one that works without end', ['sh', '-c', 'while true; do :; done'], { quietMs: 50, mostMs: 100 }, 'busy'],
    ['one that works and ends', ['sh', '-c', 'timeout 0.3 yes > /dev/null; exit 3'], patience, 'ended'],
  ])('%s', async (_, command, given, expected) => {
    await test.create('watched', command, {});
    await test.engine.containers.start('watched');
    expect(await test.engine.containers.awaitRest('watched', given)).toBe(expected);
    await test.engine.containers.remove('watched', { force: true });
  });
});

describe('what cannot start says why', () => {
  it.each([
    ['a command that is not there', ['no-such-program'], 127],
    ['a file that is no program', ['/etc/passwd'], 126],
  ])('%s', async (what, command, exitCode) => {
    const name = what.replaceAll(' ', '-');
    await test.create(name, command);
    await expect(test.engine.containers.start(name)).rejects.toMatchObject({
      code: 'container/invalid',
      message: expect.stringContaining(command[0] ?? ''),
    });
    expect(await state(name)).toMatchObject({ status: 'created', exitCode });
  });

  it.each([
    ['image/not-found', { config: { image: 'absent' } }],
    ['container/invalid', { config: { user: 'stranger' } }],
    ['container/unsupported', { host: { logging: { driver: 'syslog', options: {} } } }],
    ['container/unsupported', { host: { securityOpt: ['apparmor=mine'] } }],
    ['container/invalid', { host: { sysctls: { 'kernel.core_pattern': 'x' } } }],
    ['container/invalid', { host: { sysctls: { 'kernel.panic': '1' } } }],
    ['container/invalid', { host: { sysctls: { 'net.ipv4.ip_forward': '1' }, networkMode: 'host' } }],
    ['container/invalid', { host: { sysctls: { 'net/ipv4/ip_forward': '1' }, networkMode: 'host' } }],
    ['container/invalid', { host: { sysctls: { 'net.ipv4/../../kernel/panic': '1' } } }],
    ['container/invalid', { host: { sysctls: { 'kernel.msgmax': '1' }, ipcMode: 'host' } }],
    ['container/unsupported', { host: { cgroupParent: '../../elsewhere' } }],
    ['container/unsupported', { host: { cgroupParent: '/tscompose-other' } }],
    ['container/unsupported', { host: { cgroupParent: 'system.slice' } }],
    ['container/invalid', { host: { resources: { memoryBytes: 1 << 20 } } }],
    ['container/invalid', { host: { binds: ['/tmp:relative'] } }],
    ['container/invalid', { host: { capAdd: ['FLY'] } }],
  ])('%s', async (code, spec) => {
    await expect(test.run('refused', ['true'], spec)).rejects.toMatchObject({ code });
    if ((await test.engine.containers.list({ all: true, name: ['refused'] })).length > 0)
      await test.engine.containers.remove('refused');
  });

  it('a name that is taken', async () => {
    await expect(test.create('ends', ['true'])).rejects.toMatchObject({ code: 'container/conflict' });
  });
});

describe('stopping', () => {
  it('gives grace, then kills', async () => {
    await test.create('deaf', ['sleep', '1000']);
    await test.engine.containers.start('deaf');
    await test.engine.containers.stop('deaf', { timeoutSeconds: 1 });
    expect(await state('deaf')).toMatchObject({ status: 'exited', exitCode: 137 });
    await expect(test.engine.containers.stop('deaf')).rejects.toMatchObject({ code: 'container/not-modified' });
    await expect(test.engine.containers.kill('deaf')).rejects.toMatchObject({ code: 'container/conflict' });
  });

  it('sends the signal the container wants', async () => {
    const script = 'trap "exit 9" USR1; echo up; while true; do sleep 0.05; done';
    await test.create('listens', ['sh', '-c', script], { config: { stopSignal: 'SIGUSR1' } });
    await test.engine.containers.start('listens');
    for await (const _ of await test.engine.containers.logs('listens', { stdout: true, stderr: true, follow: true }))
      break;
    await test.engine.containers.stop('listens');
    expect(await state('listens')).toMatchObject({ exitCode: 9 });
  });

  it('thaws what is paused', async () => {
    await test.create('frozen', ['sleep', '1000'], { host: { init: true } });
    await test.engine.containers.start('frozen');
    await test.engine.containers.pause('frozen');
    expect((await state('frozen')).status).toBe('paused');
    await test.engine.containers.stop('frozen');
    expect(await state('frozen')).toMatchObject({ status: 'exited', exitCode: 143 });
  });

  it('refuses to remove what runs, without force', async () => {
    await test.engine.containers.start('deaf');
    await expect(test.engine.containers.remove('deaf')).rejects.toMatchObject({ code: 'container/conflict' });
    await test.engine.containers.remove('deaf', { force: true });
  });
});

describe('exec', () => {
  beforeAll(async () => {
    await test.create('host', ['sleep', '1000']);
    await test.engine.containers.start('host');
  });

  it('runs beside the first process', async () => {
    const result = await test.exec('host', ['sh', '-c', 'echo out; echo err >&2; id -u; pwd; exit 7'], {
      user: '1000',
      workdir: '/tmp',
    });
    expect(result).toEqual({ exitCode: 7, stdout: 'out\n1000\n/tmp\n', stderr: 'err\n' });
  });

  it('passes stdin', async () => {
    const id = await test.engine.exec.create('host', { command: ['cat'], attachStdin: true });
    const session = test.engine.exec.start(id);
    const text = 'x'.repeat(300_000);
    session?.input.end(text);
    expect(session && (await readSession(session)).stdout).toBe(text);
  });

  it('on a terminal', async () => {
    const id = await test.engine.exec.create('host', {
      command: ['sh', '-c', 'stty size; echo $TERM'],
      tty: true,
      consoleSize: { rows: 31, columns: 97 },
    });
    const session = test.engine.exec.start(id);
    expect(session && (await readSession(session)).stdout).toBe('31 97\r\nxterm\r\n');
  });

  it('says 127 for a command that is not there', async () => {
    const id = await test.engine.exec.create('host', { command: ['no-such-program'] });
    await expect(test.engine.exec.start(id).started).rejects.toMatchObject({ code: 'exec/invalid' });
    expect(test.engine.exec.inspect(id)).toMatchObject({ running: false, exitCode: 127 });
  });

  it('sees the container in top and stats', async () => {
    const { processes } = await test.engine.containers.top('host');
    expect(processes.map((row) => row.at(-1))).toEqual(['sleep 1000']);
    expect(await test.engine.containers.stats('host')).toMatchObject({ pids: 1, pidsLimit: 4096 });
  });
});

describe('restart policies and health', () => {
  it('tries again as often as allowed', async () => {
    await test.create('fails', ['sh', '-c', 'exit 4'], {
      host: { restartPolicy: { name: 'on-failure', maximumRetries: 2 } },
    });
    await test.engine.containers.start('fails');
    await until('the last try', async () => (await state('fails')).status === 'exited');
    expect(await state('fails')).toMatchObject({ exitCode: 4, restartCount: 2 });
  });

  it('stays down when a user stops it', async () => {
    await test.create('again', ['sh', '-c', 'sleep 0.1'], {
      host: { restartPolicy: { name: 'always', maximumRetries: 0 } },
    });
    await test.engine.containers.start('again');
    await until('a restart', async () => (await state('again')).restartCount > 0);
    await test.engine.containers.stop('again', { timeoutSeconds: 0 });
    await delay(400);
    expect((await state('again')).status).toBe('exited');
  });

  it('is healthy at the first good probe, unhealthy after the retries', async () => {
    const began = performance.now();
    await test.create('checked', ['sh', '-c', 'sleep 0.2; touch /ok; sleep 1000'], {
      config: { healthcheck: { test: ['CMD-SHELL', 'echo probe; test -e /ok'], intervalNs: 5e8, retries: 2 } },
    });
    await test.engine.containers.start('checked');
    await until('health', async () => (await state('checked')).health?.status === 'healthy');
    expect(performance.now() - began).toBeLessThan(4000);
    await test.exec('checked', ['rm', '/ok']);
    await until('sickness', async () => (await state('checked')).health?.status === 'unhealthy');
    const health = (await state('checked')).health;
    expect(health?.log.at(-1)).toMatchObject({ exitCode: 1, output: 'probe\n' });
    expect(health?.log.length).toBeLessThanOrEqual(5);
  });

  it('ends a probe that hangs', async () => {
    await test.create('hangs', ['sleep', '1000'], {
      config: { healthcheck: { test: ['CMD', 'sleep', '999'], intervalNs: 1e8, timeoutNs: 2e8, retries: 1 } },
    });
    await test.engine.containers.start('hangs');
    await until('sickness', async () => (await state('hangs')).health?.status === 'unhealthy');
    expect((await state('hangs')).health?.log.at(-1)?.output).toContain('exceeded timeout');
    await test.engine.containers.remove('hangs', { force: true });
  });

  it('notes that memory ran out', async () => {
    const result = await test.run('hungry', ['sh', '-c', 'x=a; while true; do x=$x$x; done'], {
      host: { resources: { memoryBytes: 20 << 20 } },
    });
    expect(result.exitCode).toBe(137);
    expect((await state('hungry')).oomKilled).toBe(true);
  });
});

describe('volumes', () => {
  it('take over what the image has, owner and mode included', async () => {
    const { stdout } = await test.run(
      'seeded',
      ['sh', '-c', 'stat -c "%u %a" /home/app /var/v; touch /home/app/mine'],
      {
        host: { binds: ['home:/home/app', 'fresh:/var/v'] },
      },
    );
    expect(stdout).toBe('1000 755\n0 755\n');
    const again = await test.run('reader', ['ls', '/x'], { host: { binds: ['home:/x:ro'] } });
    expect(again.stdout).toContain('mine\n');
    await expect(test.engine.volumes.remove('home')).rejects.toMatchObject({ code: 'volume/in-use' });
  });

  it('are read-only when asked, and bind mounts show the host', async () => {
    const { exitCode, stderr } = await test.run('writer', ['touch', '/x/y'], { host: { binds: ['home:/x:ro'] } });
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('Read-only')]);
    const { stdout } = await test.run('sees', ['ls', '/host'], { host: { binds: [`${test.directory}:/host:ro`] } });
    expect(stdout).toContain('data\n');
  });

  it('without a name go with their container', async () => {
    await test.run('anonymous', ['touch', '/data/x'], { config: { volumes: ['/data'] } });
    const name = (await test.engine.containers.inspect('anonymous')).mounts[0]?.name ?? '';
    expect(test.engine.volumes.inspect(name).anonymous).toBe(true);
    await test.engine.containers.remove('anonymous', { volumes: true });
    expect(() => test.engine.volumes.inspect(name)).toThrow('no such volume');
  });
});

it('tells what happened, in order', async () => {
  const seen: string[] = [];
  const leave = test.engine.events.listen((event) => {
    if (event.actor.attributes['name'] === 'told')
      seen.push(`${event.action} ${event.actor.attributes['exitCode'] ?? ''}`.trim());
  });
  await test.run('told', ['sh', '-c', 'exit 5']);
  await test.engine.containers.remove('told');
  leave();
  expect(seen).toEqual(['create', 'attach', 'start', 'die 5', 'destroy']);
});
