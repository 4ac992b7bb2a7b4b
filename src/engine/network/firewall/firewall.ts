import { TscError } from '../../../core/index.ts';
import type { KeeperPort } from '../keeper-port.ts';
import { parseTable, renderTransition, type TableText } from './live-table.ts';
import { hasAllRules, renderChange, renderRemoval, renderTable } from './render-nft.ts';
import type { Ruleset } from './ruleset.ts';

/** Who carries rulesets into a kernel. */
export interface Firewall {
  /** Makes the table be this one. Calls that come while one is under way are answered by one later transaction. */
  apply(ruleset: Ruleset): Promise<void>;
  /**
   * Looks at the table that an earlier life of the daemon left, so that the first apply changes only what differs. Whether it is
   * there with all its rules.
   */
  adopt(): Promise<boolean>;
  /** Whether the table is still there with all its rules. */
  isLoaded(): Promise<boolean>;
  /** Whether this life of the daemon has applied anything. */
  isApplied(): boolean;
  /** Forgets what was applied, so that the next apply replaces the whole table. */
  forget(): void;
  /** Takes the table away; an absent one is fine. */
  remove(): Promise<void>;
}

/** How one transaction reaches the kernel. */
type Transact = (script: string) => Promise<void>;

/** Runs the newest wanted state next; whoever asked meanwhile shares that run. */
class Coalescer {
  #wanted: Ruleset | undefined;
  #next: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();
  readonly #carry: (ruleset: Ruleset) => Promise<void>;

  constructor(carry: (ruleset: Ruleset) => Promise<void>) {
    this.#carry = carry;
  }

  push(ruleset: Ruleset): Promise<void> {
    this.#wanted = ruleset;
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const wanted = this.#wanted;
      const run = wanted ? this.#carry(wanted) : Promise.resolve();
      // A failure belongs to those who asked; the next run starts clean.
      this.#running = run.then(
        () => undefined,
        () => undefined,
      );
      return run;
    });
    return this.#next;
  }
}

/** A firewall of nft: whole table first, element changes afterwards. `jump` is told when the table comes and goes. */
export function createNftFirewall(keeper: KeeperPort, table: string, nft: string): Firewall {
  let applied: Ruleset | undefined;
  let standing: TableText | undefined;
  const list = (...options: readonly string[]) =>
    keeper.run({ file: nft, args: [...options, 'list', 'table', 'inet', table] });
  const transact: Transact = async (script) => {
    const result = await keeper.run({ file: nft, args: ['-f', '-'], stdin: script });
    if (result.status !== 0) {
      throw new TscError('network/failed', `cannot change the firewall: nft: ${firstLine(result.stderr)}`, {
        hint: 'check that nftables is installed and the kernel offers nf_tables with nat, fib and concatenated sets',
      });
    }
  };
  const carry = async (ruleset: Ruleset): Promise<void> => {
    const whole = renderTable(ruleset);
    const changes = applied ? [renderChange(applied, ruleset)] : standing && transition(table, standing, whole);
    standing = undefined;
    try {
      for (const change of changes ?? [whole]) if (change !== '') await transact(change);
    } catch (error) {
      if (!changes) throw error;
      // Somebody changed or removed our table: the whole table puts it right.
      applied = undefined;
      await transact(whole);
    }
    applied = ruleset;
  };
  const coalescer = new Coalescer(carry);
  return {
    apply: (ruleset) => coalescer.push(ruleset),
    async adopt() {
      const { status, stdout } = await list();
      standing = status === 0 ? parseTable(stdout) : undefined;
      return status === 0 && isWhole(stdout);
    },
    async isLoaded() {
      const { status, stdout } = await list('-t');
      return status === 0 && isWhole(stdout);
    },
    isApplied: () => applied !== undefined,
    forget() {
      applied = undefined;
      standing = undefined;
    },
    async remove() {
      applied = undefined;
      standing = undefined;
      await transact(renderRemoval(table));
    },
  };
}

/** All rules are there, and the table has no flags: one says that it sleeps. */
function isWhole(listing: string): boolean {
  return hasAllRules(listing) && !/^\tflags /m.test(listing);
}

function transition(table: string, standing: TableText, whole: string): readonly string[] | undefined {
  const wanted = parseTable(whole);
  return wanted && renderTransition(table, standing, wanted);
}

/** A firewall that only remembers; for tests of what uses one. */
export function createMemoryFirewall(): Firewall & { current(): Ruleset | undefined; readonly transactions: string[] } {
  let applied: Ruleset | undefined;
  const transactions: string[] = [];
  const coalescer = new Coalescer(async (ruleset) => {
    const change = applied ? renderChange(applied, ruleset) : renderTable(ruleset);
    applied = ruleset;
    if (change !== '') transactions.push(change);
  });
  return {
    transactions,
    current: () => applied,
    apply: (ruleset) => coalescer.push(ruleset),
    adopt: async () => applied !== undefined,
    isLoaded: async () => applied !== undefined,
    isApplied: () => applied !== undefined,
    forget() {
      applied = undefined;
    },
    async remove() {
      applied = undefined;
    },
  };
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
