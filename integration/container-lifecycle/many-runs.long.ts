import { it } from 'vitest';
import { runAgainAndAgain } from './many-runs.ts';

it('two thousand short runs of one container lose nothing and leave nothing', { timeout: 900_000 }, () =>
  runAgainAndAgain(2000),
);
