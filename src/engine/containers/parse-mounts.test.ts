import { describe, expect, it } from 'vitest';
import { checkMount, parseBind, tmpfsOptions } from './parse-mounts.ts';

describe('short mounts', () => {
  it.each([
    ['/a:/b', { type: 'bind', source: '/a', target: '/b', createMountpoint: true }],
    ['/a/:/b/:ro', { type: 'bind', source: '/a/', target: '/b', createMountpoint: true, readOnly: true }],
    ['data:/b:nocopy', { type: 'volume', source: 'data', target: '/b', noCopy: true }],
    ['/only', { type: 'volume', target: '/only' }],
    ['/a:/b:rslave,z', { type: 'bind', source: '/a', target: '/b', createMountpoint: true, propagation: 'rslave' }],
  ])('%s', (text, spec) => expect(parseBind(text).spec).toEqual(spec));

  it.each(['', ':', 'a:b', './a:/b', '/a:/b:wat', '/a:/', '/a:/b:ro:x', 'data:/b:rshared'])('refuses %j', (text) =>
    expect(() => parseBind(text)).toThrow(expect.objectContaining({ code: 'container/invalid' })),
  );

  it('keeps subpaths inside', () => {
    expect(() => checkMount({ type: 'volume', source: 'v', target: '/x', subpath: 'a/../../b' })).toThrow(
      'stay inside',
    );
  });

  it('starts tmpfs from the safe options', () => {
    expect(tmpfsOptions('exec,size=64m')).toEqual(['nosuid', 'nodev', 'size=64m']);
    expect(() => tmpfsOptions('lowerdir=/')).toThrow('unknown tmpfs option');
  });
});
