import { describe, expect, it } from 'vitest';
import { resolveUser } from './user-lookup.ts';

const FILES: Record<string, string> = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\n0:x:7:7::/evil:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbroken:x:99999999999:1::/:/x\n',
  '/etc/group': 'root:x:0:\nwheel:x:10:root,app\napp:x:1001:\n',
};
const read = async (path: string) => FILES[path];

describe('users', () => {
  it.each([
    ['', { uid: 0, gid: 0, additionalGids: [10], home: '/root' }],
    ['0', { uid: 0, gid: 0, additionalGids: [10], home: '/root' }],
    ['app', { uid: 1000, gid: 1001, additionalGids: [10], home: '/home/app' }],
    ['1000', { uid: 1000, gid: 1001, additionalGids: [10], home: '/home/app' }],
    ['007', { uid: 7, gid: 7, additionalGids: [], home: '/evil' }],
    ['5000', { uid: 5000, gid: 0, additionalGids: [], home: '/' }],
    ['app:wheel', { uid: 1000, gid: 10, additionalGids: [], home: '/home/app' }],
    ['1:', { uid: 1, gid: 0, additionalGids: [], home: '/' }],
    [':', { uid: 0, gid: 0, additionalGids: [10], home: '/root' }],
  ])('%j', async (text, expected) => expect(await resolveUser(text, [], read)).toEqual(expected));

  it.each(['4294967295', '4294967296', '-1', '99999999999999999999', 'nobody-here', 'a:b:c', 'app:none', 'broken'])(
    'refuses %j',
    async (text) => {
      await expect(resolveUser(text, [], read)).rejects.toMatchObject({ code: 'container/invalid' });
    },
  );

  it('adds groups by name and number', async () => {
    expect((await resolveUser('5', ['wheel', '44'], read)).additionalGids).toEqual([10, 44]);
  });

  it('works without account files', async () => {
    const none = async () => undefined;
    expect(await resolveUser('', [], none)).toEqual({ uid: 0, gid: 0, additionalGids: [], home: '/' });
  });
});
