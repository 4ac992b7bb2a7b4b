import { describe, expect, it } from 'vitest';
import { isCovered, isForgeable, isRemoteFile, parseRemoteAddress, withoutPassword } from './remote-address.ts';

const SHA = '0123456789abcdef0123456789abcdef01234567';

describe('addresses of remote files', () => {
  it.each([
    ['https://host/a/b.git', { repository: 'https://host/a/b.git' }],
    ['https://host/a/b.git#main', { repository: 'https://host/a/b.git', ref: 'main' }],
    ['https://host/a/b.git#main:sub/dir', { repository: 'https://host/a/b.git', ref: 'main', path: 'sub/dir' }],
    ['https://host/a/b.git#:sub//x.yaml', { repository: 'https://host/a/b.git', path: 'sub/x.yaml' }],
    [`https://host/a/b.git#${SHA}`, { repository: 'https://host/a/b.git', ref: SHA }],
    ['https://user:token@host:8443/b.git', { repository: 'https://user:token@host:8443/b.git' }],
    ['http://[::1]:80/b.git', { repository: 'http://[::1]:80/b.git' }],
    ['ssh://git@host/b', { repository: 'ssh://git@host/b' }],
    ['git://host/b', { repository: 'git://host/b' }],
    ['git@host:a/b.git#v1.0', { repository: 'git@host:a/b.git', ref: 'v1.0' }],
    ['github.com/a/b#refs/tags/v1', { repository: 'https://github.com/a/b', ref: 'refs/tags/v1' }],
  ])('%s', (text, expected) => {
    expect(isRemoteFile(text)).toBe(true);
    expect(parseRemoteAddress(text)).toEqual({ kind: 'git', text, ...expected });
  });

  it('takes artifacts', () => {
    const text = 'oci://registry:5000/team/stack:1';
    expect(parseRemoteAddress(text)).toEqual({ kind: 'oci', text, reference: 'registry:5000/team/stack:1' });
  });

  it.each(['compose.yaml', './git@host:x', '../x', '/abs', 'C:\\x', 'sub/https', 'ext::sh -c id', ''])(
    'is a path: %s',
    (text) => expect(isRemoteFile(text)).toBe(false),
  );

  it.each([
    ['an option as branch', 'https://h/a.git#--upload-pack=touch'],
    ['an option as folder', 'https://h/a.git#main:-x'],
    ['an option as host', 'ssh://-oProxyCommand=touch/x'],
    ['an option as host, short', 'git@-oProxyCommand=x:a'],
    ['an option as user', 'ssh://-l@h/x'],
    ['an option as path', 'git@h:-x'],
    ['a folder outside', 'https://h/a.git#main:../x'],
    ['a folder outside, late', 'https://h/a.git#main:a/../../x'],
    ['a folder outside, other slashes', 'https://h/a.git#main:a\\..\\..\\x'],
    ['the folder of git', 'https://h/a.git#main:.git/config'],
    ['the folder of git, written differently', 'https://h/a.git#main:.GIT'],
    ['a branch outside', 'https://h/a.git#../../x'],
    ['a range', 'https://h/a.git#a..b'],
    ['a revision expression', 'https://h/a.git#main^{commit}'],
    ['a pattern', 'https://h/a.git#*'],
    ['a local repository', 'file:///etc/a.git'],
    ['a helper program', 'ext://x'],
    ['another helper program', 'fd://17/x'],
    ['a blank', 'https://h/a.git#main --x'],
    ['a line break', 'https://h/a.git#a\nb'],
    ['a NUL byte', 'https://h/a.git#a\0b'],
    ['no host', 'https:///a.git'],
    ['no path', 'https://h/'],
    ['a single file', 'https://h/compose.yaml'],
  ])('refuses %s', (_what, text) => {
    expect(parseRemoteAddress(text)).toMatchObject({ kind: 'bad' });
  });

  it.each([
    ['http://h/a.git', true],
    ['git://h/a', true],
    [`http://h/a.git#${SHA}`, false],
    ['http://127.0.0.1:80/a.git', false],
    ['http://127.0.0.1.evil.test/a.git', true],
    ['http://localhost@evil.test/a.git', true],
    ['https://h/a.git', false],
    ['git@h:a', false],
  ])('can be forged on the way: %s %s', (text, expected) => {
    const address = parseRemoteAddress(text);
    expect(address.kind === 'git' && isForgeable(address)).toBe(expected);
  });

  it('shows no password', () => {
    expect(withoutPassword('https://me:token@host/a.git')).toBe('https://***@host/a.git');
    expect(withoutPassword('ssh://git@host/a.git')).toBe('ssh://git@host/a.git');
    expect(withoutPassword('ssh://git:secret@host/a.git')).toBe('ssh://git@host/a.git');
    expect(withoutPassword('git@host:a.git')).toBe('git@host:a.git');
  });

  it('trusts a repository with all its refs, and nothing that only begins alike', () => {
    const trusted = ['https://h/a.git', 'oci://h/b:1'];
    expect(isCovered('https://h/a.git#main:x', trusted)).toBe(true);
    expect(isCovered('https://h/a.gitx', trusted)).toBe(false);
    expect(isCovered('oci://h/b:1', trusted)).toBe(true);
    expect(isCovered('oci://h/b:12', trusted)).toBe(false);
    expect(isCovered('https://h/a.git', [''])).toBe(false);
  });
});
