import { expect, test } from 'vitest';
import type { GuestReport } from './vm.ts';

/** One test per scenario, of what the machine said about it; without a machine there is no report. */
export function testScenarios(scenarios: Readonly<Record<string, string>>, report: GuestReport | undefined): void {
  for (const name of Object.keys(scenarios))
    test(name, () => {
      expect(report?.results.get(name) ?? `did not run:\n${report?.console.slice(-2000)}`).toBe('ok');
    });
}
