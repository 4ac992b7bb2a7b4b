import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseEgressEntry, TscError } from '../../../core/index.ts';
import { type EgressRule, parseEgress, parseEgressLabel } from './egress.ts';
import { renderEgress } from './render-egress.ts';

/** Runs; more for a longer search, as in TSC_FUZZ_RUNS=100000. */
const RUNS = Number(process.env['TSC_FUZZ_RUNS'] ?? 2000);
const WORK_MS = 3_600_000;

/** What an entry is made of, and what would mean something to nft. */
const TOKENS = [
  ...['example', 'org', 'xn--bcher-kva', '_tcp', '-a', 'a-', 'a'.repeat(63), 'a'.repeat(64), 'É', 'ß', 'K', '０'],
  ...['.', '..', ':', '::', '/', '*', '*.', '[', ']', '%', '%eth0', '-', '_', ' ', '\n', '\0', '\t', ',', ';', '@'],
  ...['0', '1', '10', '255', '256', '443', '65535', '65536', '00443', '1e3', '0x10', '+1', '-1', '9'.repeat(20)],
  ...['10.0.0.0', '192.0.2.7', '127.1', '010.0.0.1', '2001:db8::', '::1', '::ffff:1.2.3.4', 'fe80::1', '/8', '/32'],
  ...['/33', '/0', '/128', '/129', '/-1', '/08', '{', '}', '"', '#', 'accept', '; flush ruleset', '$x', '\u202e'],
];
const entry = fc.oneof(
  fc
    .array(fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 3 })), { maxLength: 8 })
    .map((all) => all.join('')),
  fc.domain().chain((name) => fc.constantFrom(name, `*.${name}`, `${name}.`, `${name}:443`, name.toUpperCase())),
  fc.tuple(fc.ipV4(), fc.nat(40), fc.nat(70_000)).map(([ip, prefix, port]) => `${ip}/${prefix}:${port}`),
  fc.tuple(fc.ipV6(), fc.nat(140), fc.nat(70_000)).map(([ip, prefix, port]) => `[${ip}]/${prefix}:${port}`),
);

/** A rule as an entry that means the same. */
function write(rule: EgressRule): string {
  const port = rule.port === 0 ? '' : `:${rule.port}`;
  if (rule.kind === 'name') return `${rule.below ? '*.' : ''}${rule.name}${port}`;
  const [address = '', prefix] = rule.subnet.split('/');
  return rule.family === 4 ? `${rule.subnet}${port}` : `[${address}]/${prefix}${port}`;
}

/** Undefined when it is refused, which no other error may do. */
function read(text: string): EgressRule | undefined {
  try {
    return parseEgress(text);
  } catch (error) {
    if (!(error instanceof TscError) || error.code !== 'network/invalid') throw error;
    return undefined;
  }
}

/** All that a list may add to the script: subnets of its own, in these words. */
const SUBNET_RULE =
  /^add rule inet tsc_egress c_a{20} (ip daddr [\d.]{7,15}\/\d{1,2}|ip6 daddr [\da-f:.]{2,45}\/\d{1,3})( meta l4proto \{ tcp, udp \} th dport \d{1,5})? accept$/;

it(
  'an entry is refused, or read as what it says again',
  () => {
    fc.assert(
      fc.property(entry, (text) => {
        const rule = read(text);
        // The compose file is checked with the same words before anything is made.
        if (typeof parseEgressEntry(text) === 'string') expect(rule).toBeUndefined();
        if (!rule) return;
        expect(rule.port).toBeLessThanOrEqual(65_535);
        if (rule.kind === 'name') {
          expect(rule.name).toMatch(/^[a-z0-9_.-]{1,253}$/);
          for (const label of rule.name.split('.')) expect(label).toMatch(/^[a-z0-9_-]{1,63}$/);
        }
        expect(read(write(rule))).toEqual(rule);
      }),
      { numRuns: RUNS },
    );
  },
  WORK_MS,
);

it(
  'no list writes anything into the rules but its subnets and ports',
  () => {
    const bare = new Set(
      renderEgress('tsc', [{ containerId: 'a'.repeat(64), rules: [], endpoints: [] }], []).split('\n'),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (texts) => {
        const rules = texts.flatMap((text) => read(text) ?? []);
        const lines = renderEgress('tsc', [{ containerId: 'a'.repeat(64), rules, endpoints: [] }], []).split('\n');
        const added = lines.filter((line) => !bare.has(line));
        for (const line of added) expect(line).toMatch(SUBNET_RULE);
        expect(added.length).toBe(rules.filter(({ kind }) => kind === 'subnet').length);
      }),
      { numRuns: RUNS },
    );
  },
  WORK_MS,
);

it(
  'a label is refused, or a list of entries that are read',
  () => {
    const label = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(entry, { maxLength: 5 }).map((all) => JSON.stringify(all)),
    );
    fc.assert(
      fc.property(label, (text) => {
        let list: readonly string[];
        try {
          list = parseEgressLabel(text);
        } catch (error) {
          if (!(error instanceof TscError) || error.code !== 'network/invalid') throw error;
          return;
        }
        for (const each of list) expect(read(each)).toBeDefined();
      }),
      { numRuns: RUNS },
    );
  },
  WORK_MS,
);
