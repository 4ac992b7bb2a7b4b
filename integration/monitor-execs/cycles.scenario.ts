import { it } from 'vitest';
import { forkAndForget } from './cycles.ts';

it('thirty execs and probes that leave children behind leave none', () => forkAndForget(30));
