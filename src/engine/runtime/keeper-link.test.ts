import { type Duplex, duplexPair } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type ChildExit, KeeperLink } from './keeper-link.ts';

/** A link and the keeper's end of its stream, with what it was asked. */
function pair(): {
  link: KeeperLink;
  keeper: Duplex;
  asked: () => Record<string, unknown>[];
  say: (value: object) => void;
} {
  const [ours, keeper] = duplexPair();
  let text = '';
  keeper.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const asked = () =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { link: new KeeperLink(ours), keeper, asked, say: (value) => keeper.write(`${JSON.stringify(value)}\n`) };
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe('keeper link', () => {
  it('matches replies in any order, in any chunks', async () => {
    const { link, keeper, asked } = pair();
    const first = link.run({ args: ['one'], stdin: 'ü\n' });
    const second = link.createSandbox('box', { links: [] });
    await tick();
    expect(asked()).toEqual([
      { id: 1, op: 'run', args: ['one'], stdin: 'ü\n' },
      { id: 2, op: 'sandbox.create', name: 'box', config: { links: [] } },
    ]);
    const bytes = Buffer.from(
      '{"id":2,"ok":true,"path":"/proc/7/fd/9"}\n{"id":1,"ok":true,"status":3,"stdout":"größe","stderr":""}\n',
    );
    for (const byte of bytes) keeper.write(Buffer.of(byte));
    expect(await second).toEqual({ path: '/proc/7/fd/9' });
    expect(await first).toEqual({ status: 3, stdout: 'größe', stderr: '' });
  });

  it('turns refusals into errors of the room that asked', async () => {
    const { link, say } = pair();
    const hold = link.holdPort({ key: 'k', protocol: 'tcp', address: '0.0.0.0', port: 80, proxy: null });
    say({ id: 1, ok: false, error: { code: 'in-use', message: 'cannot bind 0.0.0.0 port 80' } });
    await expect(hold).rejects.toMatchObject({ code: 'network/in-use', message: 'cannot bind 0.0.0.0 port 80' });
    const list = link.list();
    say({ id: 2, ok: false, error: { code: 'made up' } });
    await expect(list).rejects.toMatchObject({ code: 'keeper/failed' });
    const spawn = link.spawn(['monitor', '/f'], 'container');
    say({ id: 3, ok: true, pid: 5, ready: { ok: false, error: { code: 'conflict', message: 'exists' } } });
    await expect(spawn).rejects.toMatchObject({ code: 'container/conflict', message: 'exists' });
  });

  it('tells of ended children, decoded from their wait status', async () => {
    const { link, say } = pair();
    const exits: ChildExit[] = [];
    const stop = link.onExit((exit) => exits.push(exit));
    say({ event: 'exit', pid: 5, status: 0x0300 });
    say({ event: 'exit', pid: 6, status: 9 });
    await tick();
    stop();
    say({ event: 'exit', pid: 7, status: 0 });
    await tick();
    expect(exits).toEqual([
      { pid: 5, exitCode: 3, signal: null },
      { pid: 6, exitCode: 137, signal: 9 },
    ]);
  });

  it.each([
    ['the end of the stream', (keeper: Duplex) => keeper.end()],
    ['bytes that are no JSON', (keeper: Duplex) => keeper.write('garbage\n')],
  ])('rejects all calls at %s', async (_name, act) => {
    const { link, keeper } = pair();
    const pending = link.list();
    act(keeper);
    await expect(pending).rejects.toMatchObject({ code: 'keeper/unavailable' });
    await link.closed;
    await expect(link.shutdown()).rejects.toMatchObject({ code: 'keeper/unavailable' });
  });
});
