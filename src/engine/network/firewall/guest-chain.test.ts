import { describe, expect, it } from 'vitest';
import { compareRules, parseNftRules, renderNftRules } from './guest-chain.ts';
import { parseLegacyRules, renderLegacyRules } from './legacy-chain.ts';

const IN = { side: 'in', name: 'tsc-+' } as const;
const OUT = { side: 'out', name: 'mybridge' } as const;

describe('our rules in a chain of others', () => {
  it('are tagged, in nftables', () => {
    expect(renderNftRules('ip6 filter DOCKER-USER', 'tsc', [{ ...IN, reference: '7' }], [IN, OUT])).toBe(
      'delete rule ip6 filter DOCKER-USER handle 7\n' +
        'insert rule ip6 filter DOCKER-USER iifname "tsc-*" accept comment "tscompose:tsc"\n' +
        'insert rule ip6 filter DOCKER-USER oifname "mybridge" accept comment "tscompose:tsc"\n',
    );
  });

  it('are tagged, in the legacy tables', () => {
    const reference = '-i tsc-+ -m comment --comment tscompose:tsc -j ACCEPT';
    expect(renderLegacyRules('tsc', [{ ...IN, reference }], [IN, OUT])).toBe(
      `*filter
-D DOCKER-USER ${reference}
-I DOCKER-USER -i tsc-+ -m comment --comment tscompose:tsc -j ACCEPT
-I DOCKER-USER -o mybridge -m comment --comment tscompose:tsc -j ACCEPT
COMMIT
`,
    );
  });

  it('are found by their tag; those of others are not, and one that somebody changed is none that is wanted', () => {
    const rule = (handle: number, comment?: string, key = 'iifname', right: unknown = 'tsc-*') => ({
      rule: { handle, comment, expr: [{ match: { op: '==', left: { meta: { key } }, right } }, { accept: null }] },
    });
    const listing = {
      nftables: [
        { metainfo: {} },
        rule(3),
        rule(4, 'tscompose:tsc'),
        rule(5, 'tscompose:other'),
        rule(6, 'tscompose:tsc', 'oifname', 'mybridge'),
        rule(7, 'tscompose:tsc', 'iifname', { set: ['a', 'b'] }),
      ],
    };
    expect(parseNftRules(JSON.stringify(listing), 'tsc')).toEqual([
      { ...IN, reference: '4' },
      { ...OUT, reference: '6' },
      { side: 'in', name: '', reference: '7' },
    ]);
    const lines = `-N DOCKER-USER
-A DOCKER-USER -i tsc-+ -m comment --comment "tscompose:tsc" -j ACCEPT
-A DOCKER-USER -o mybridge -m comment --comment tscompose:tsc -j ACCEPT
-A DOCKER-USER -s 10.0.0.0/8 -i tsc-+ -m comment --comment "tscompose:tsc" -j ACCEPT
-A DOCKER-USER -i tsc-+ -m comment --comment "tscompose:tsc2" -j ACCEPT
-A DOCKER-USER -j RETURN
`;
    expect(parseLegacyRules(lines, 'tsc')).toEqual([
      { ...IN, reference: '-i tsc-+ -m comment --comment "tscompose:tsc" -j ACCEPT' },
      { ...OUT, reference: '-o mybridge -m comment --comment tscompose:tsc -j ACCEPT' },
      {
        side: 'out',
        name: '',
        reference: '-s 10.0.0.0/8 -i tsc-+ -m comment --comment "tscompose:tsc" -j ACCEPT',
      },
    ]);
  });

  it('are added where they miss, and removed where they are too much', () => {
    const first = { ...IN, reference: '1' };
    const second = { ...IN, reference: '2' };
    expect(compareRules([first], [IN, OUT])).toEqual({ remove: [], add: [OUT] });
    expect(compareRules([first, second], [IN])).toEqual({ remove: [second], add: [] });
    expect(compareRules([first], [])).toEqual({ remove: [first], add: [] });
  });
});
