import { type TestDaemon, waitUntil } from '../kit/daemon.ts';

/** Numbers in [0, 1) that are the same in every run (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `kill -9` of the daemon; resolves when the one that the keeper starts in its place answers. */
export async function killDaemon(daemon: TestDaemon): Promise<void> {
  const pid = await daemon.daemonPid();
  process.kill(pid, 'SIGKILL');
  await waitUntil(20_000, () =>
    daemon.daemonPid().then(
      (now) => now !== pid,
      () => false,
    ),
  );
}
