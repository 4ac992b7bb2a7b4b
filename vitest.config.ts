import { defineConfig } from 'vitest/config';

/**
 * `unit` needs nothing but Node; `integration` needs root, the native binaries and the bundle; `long` is what takes minutes or the Debian
 * mirror, and belongs to `npm run test:full`.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts'], pool: 'threads', testTimeout: 30_000 } },
      {
        test: {
          name: 'long',
          include: ['integration/**/*.long.ts'],
          globalSetup: ['integration/kit/global-setup.ts'],
          pool: 'forks',
          maxWorkers: 1,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 20_000 } },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['integration/**/*.scenario.ts'],
          globalSetup: ['integration/kit/global-setup.ts'],
          pool: 'forks',
          maxWorkers: 3,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 20_000 } },
        },
      },
    ],
  },
});
