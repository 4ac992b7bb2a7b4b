import { describe, expect, it } from 'vitest';
import { parseEgressEntry } from './egress-entry.ts';

const name = (text: string, port = 0, below = false) => ({ kind: 'name', name: text, below, port });
const subnet = (address: string, prefix: number, port = 0) => ({ kind: 'subnet', address, prefix, port });

describe('an entry of an egress list', () => {
  it.each([
    ['api.example.com:443', name('api.example.com', 443)],
    ['API.Example.com.', name('api.example.com')],
    ['*.debian.org', name('debian.org', 0, true)],
    ['*.debian.org:80', name('debian.org', 80, true)],
    ['_dmarc.example.com', name('_dmarc.example.com')],
    ['10.0.0.0/8', subnet('10.0.0.0', 8)],
    ['192.0.2.7:22', subnet('192.0.2.7', 32, 22)],
    ['192.0.2.0/24:443', subnet('192.0.2.0', 24, 443)],
    ['2001:db8::/32', subnet('2001:db8::', 32)],
    ['2001:db8::1', subnet('2001:db8::1', 128)],
    ['[2001:db8::1]:443', subnet('2001:db8::1', 128, 443)],
    ['[2001:db8::]/32:443', subnet('2001:db8::', 32, 443)],
  ])('%s', (text, entry) => {
    expect(parseEgressEntry(text)).toEqual(entry);
  });

  it.each([
    ...[
      '',
      '*',
      '*.',
      '*.*.org',
      'a..b',
      '-a.org',
      'a b',
      'a.org:0',
      'a.org:65536',
      'a.org:http',
      '10.0.0.0/33',
      '10.0.0/8',
    ],
    ...[
      '10.0.0.0/8/8',
      '2001:db8::/129',
      'fe80::1%eth0',
      'http://a.org',
      'a.org/path',
      '1.2.3',
      `${'a'.repeat(64)}.org`,
    ],
    ...['x; flush ruleset', '0.0.0.0/0 accept', '"a"', 'a\nb', '[::1', `${'a.'.repeat(130)}org`],
  ])('refuses %j', (text) => {
    expect(parseEgressEntry(text)).toBeTypeOf('string');
  });
});
