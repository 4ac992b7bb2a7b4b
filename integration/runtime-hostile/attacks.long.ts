import { test } from 'vitest';
import { workshopOfFile } from '../kit/workshop.ts';
import { flipMountTarget, spyOnCreates } from './attacks.ts';

const shop = workshopOfFile();

test('a mount target that is swapped for a link never leads outside, in 2000 starts', { timeout: 900_000 }, () =>
  flipMountTarget(shop, 2000),
);

test('whoever may trace in a joined pid namespace sees nothing of the host in 500 creates', {
  timeout: 600_000,
}, async () => {
  await spyOnCreates(shop, [['run']], 250);
  await spyOnCreates(shop, [['create'], ['start'], ['delete', '--force']], 250);
});
