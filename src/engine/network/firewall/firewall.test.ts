import { describe, expect, it } from 'vitest';
import type { KeeperPort } from '../keeper-port.ts';
import { createMemoryFirewall, createNftFirewall, type Firewall } from './firewall.ts';
import { build, network, port } from './sample-rulesets.ts';

/** What every Firewall does, whoever carries it. */
function firewallContract(name: string, make: () => { firewall: Firewall; transactions: string[] }): void {
  describe(`Firewall contract: ${name}`, () => {
    it('replaces first, changes afterwards, and does nothing for the same state', async () => {
      const { firewall, transactions } = make();
      expect(firewall.isApplied()).toBe(false);
      await firewall.apply(build([network(1)]));
      await firewall.apply(build([network(1)]));
      await firewall.apply(build([network(1)], [port(8080)]));
      expect(transactions.map((text) => text.split('\n')[0])).toEqual([
        'table inet tsc',
        'add element inet tsc everywhere { tcp . 8080 : 172.20.1.2 . 80 }',
      ]);
      expect(firewall.isApplied()).toBe(true);
    });
    it('answers calls of one moment with one transaction', async () => {
      const { firewall, transactions } = make();
      await firewall.apply(build([network(1)]));
      await Promise.all(
        [1, 2, 3, 4].map((n) =>
          firewall.apply(
            build(
              [network(1)],
              Array.from({ length: n }, (_, i) => port(8000 + i)),
            ),
          ),
        ),
      );
      expect(transactions.length).toBe(2);
      expect(transactions[1]).toContain('tcp . 8003');
    });
    it('replaces everything after forget', async () => {
      const { firewall, transactions } = make();
      await firewall.apply(build([network(1)]));
      firewall.forget();
      await firewall.apply(build([network(1)]));
      expect(transactions[1]).toBe(transactions[0]);
    });
  });
}

/** A keeper whose nft takes every script, or refuses the next ones. */
function fakeKeeper(transactions: string[], refusals: { count: number }): KeeperPort {
  const run: KeeperPort['run'] = async (request) => {
    if (refusals.count > 0) {
      refusals.count--;
      return { status: 1, stdout: '', stderr: 'Error: No such file or directory\n' };
    }
    transactions.push(request.stdin ?? '');
    return { status: 0, stdout: '', stderr: '' };
  };
  return { run } as KeeperPort;
}

firewallContract('memory', () => {
  const firewall = createMemoryFirewall();
  return { firewall, transactions: firewall.transactions };
});
firewallContract('nft', () => {
  const transactions: string[] = [];
  return { firewall: createNftFirewall(fakeKeeper(transactions, { count: 0 }), 'tsc', '/usr/sbin/nft'), transactions };
});

describe('nft firewall', () => {
  it('puts the whole table back when a change is refused, and says what nft says when that fails too', async () => {
    const transactions: string[] = [];
    const refusals = { count: 0 };
    const firewall = createNftFirewall(fakeKeeper(transactions, refusals), 'tsc', '/usr/sbin/nft');
    await firewall.apply(build([network(1)]));
    refusals.count = 1;
    await firewall.apply(build([network(1)], [port(8080)]));
    expect(transactions[1]).toMatch(/^table inet tsc\ndelete table inet tsc\n[\s\S]*tcp \. 8080/);
    refusals.count = 2;
    await expect(firewall.apply(build([network(1)], [port(8081)]))).rejects.toMatchObject({
      code: 'network/failed',
      message: expect.stringContaining('No such file or directory'),
    });
    await firewall.apply(build([network(1)], [port(8081)]));
    expect(transactions.at(-1)).toContain('tcp . 8081');
  });
});
