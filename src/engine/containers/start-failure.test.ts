import { expect, it } from 'vitest';
import { TscError } from '../../core/index.ts';
import { classifyStartFailure } from './start-failure.ts';

it.each([
  [
    "find program: cannot execute nosuch: not found in the container's PATH",
    'nosuch',
    127,
    'executable file not found',
  ],
  ['exec: "nosuch": executable file not found in $PATH', 'nosuch', 127, 'executable file not found'],
  ['find program: cannot execute /etc: Permission denied', '/etc', 126, 'permission denied'],
  ['find program: cannot execute /x: Is a directory', '/x', 126, 'is a directory'],
  ['exec /x: exec format error', '/x', 126, 'exec format error'],
  ['mount: /data: No such file or directory', 'sh', 128, '/data'],
  ['cannot open /sys/fs/cgroup/x: Permission denied', 'sh', 128, 'cgroup'],
])('%s', (text, command, exitCode, words) => {
  const failure = classifyStartFailure(new TscError('container/failed', text), command);
  expect(failure.exitCode).toBe(exitCode);
  expect(failure.error.message).toContain(words);
  expect(failure.error.kind).toBe(exitCode === 128 ? 'failed' : 'invalid');
});
