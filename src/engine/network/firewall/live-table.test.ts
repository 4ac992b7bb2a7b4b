import { describe, expect, it } from 'vitest';
import { parseTable, renderTransition, type TableText } from './live-table.ts';

const TEXT = `table inet tsc {
	set bridges {
		type ifname
		elements = { "tsc-1", "tsc-2" }
	}
	map everywhere {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname @bridges ip6 saddr :: meta l4proto 58 accept
	}
}
`;

function parse(text: string): TableText {
  const table = parseTable(text);
  if (!table) throw new Error(`not understood: ${text}`);
  return table;
}

const change = (live: string, wanted: string) => renderTransition('tsc', parse(live), parse(wanted));

describe('what nft lists of a table', () => {
  it('is what we wrote, whatever the spaces, the width of lines and the names of protocols', () => {
    const listed = TEXT.replaceAll('\t}\n', '\t}\n\n')
      .replace('"tsc-1", ', '"tsc-1",\n\t\t\t     ')
      .replace('l4proto 58', 'l4proto ipv6-icmp');
    expect(change(listed, TEXT)).toEqual([]);
    expect(change(TEXT, `table inet tsc\ndelete table inet tsc\n${TEXT}`)).toEqual([]);
  });

  it.each([
    ['flags of the table', TEXT.replace('{\n', '{\n\tflags dormant\n')],
    ['an object that is none of ours', TEXT.replace('\tmap', '\tcounter c {\n\t\tpackets 0 bytes 0\n\t}\n\tmap')],
    ['no table', ''],
    ['half of it', TEXT.slice(0, 100)],
  ])('%s: nothing is said of it', (_, text) => {
    expect(parseTable(text)).toBeUndefined();
  });
});

describe('the way from a table to another', () => {
  it('changes elements alone where rules are the same', () => {
    expect(change(TEXT, TEXT.replace('"tsc-2"', '"tsc-3"'))).toEqual([
      'delete element inet tsc bridges { "tsc-2" }\nadd element inet tsc bridges { "tsc-3" }\n',
    ]);
  });

  it('writes rules anew in one transaction, after the sets that they need', () => {
    const wanted = TEXT.replace('bridges {', 'ours {').replace('@bridges', '@ours');
    expect(change(TEXT, wanted)).toEqual([
      'table inet tsc {\n\tset ours {\n\t\ttype ifname\n\t\telements = { "tsc-1", "tsc-2" }\n\t}\n}\n',
      `flush table inet tsc
table inet tsc {
	chain guard {
		type filter hook prerouting priority raw; policy accept;
		iifname @ours ip6 saddr :: meta l4proto 58 accept
	}
}
delete set inet tsc bridges
`,
    ]);
  });

  it('takes away a chain that is not ours', () => {
    const live = TEXT.replace(/\}\n$/, '\tchain more {\n\t\taccept\n\t}\n}\n');
    expect(change(live, TEXT)?.join('')).toContain('delete chain inet tsc more\n');
  });

  it('is a new table where a set is of another type', () => {
    expect(change(TEXT, TEXT.replace('type ifname', 'type ipv4_addr'))).toBeUndefined();
  });
});
