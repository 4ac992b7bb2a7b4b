import { it } from 'vitest';
import { forkAndForget } from './cycles.ts';

it('a thousand execs and probes that leave children behind leave none', { timeout: 900_000 }, () =>
  forkAndForget(1000),
);
