import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from './auth.ts';
import { choosePlatform, decodeManifest, formatPlatform, type IndexEntry, parsePlatform } from './index.ts';
import { isLoopbackHost } from './transport.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const entry = (platform: string | undefined): IndexEntry => ({
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: digest as never,
  size: 1,
  platform: platform === undefined ? undefined : parsePlatform(platform),
  annotations: new Map(),
});

describe('platforms', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['LINUX/ARM64/V8', 'linux/arm64/v8'],
  ])('%s is %s', (text, canonical) => expect(formatPlatform(parsePlatform(text))).toBe(canonical));

  it.each(['', 'a/b/c/d', 'linux/', '../x', 'linux/am d64'])('refuses %j', (text) =>
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: 'registry/invalid' })),
  );

  it.each<[string, readonly (string | undefined)[], string | undefined]>([
    ['linux/amd64', ['linux/arm64', 'linux/amd64'], 'linux/amd64'],
    ['linux/arm64', ['linux/arm64/v8'], 'linux/arm64/v8'],
    ['linux/arm', ['linux/arm/v6', 'linux/arm/v5'], 'linux/arm/v6'],
    ['linux/arm/v6', ['linux/arm/v7', 'linux/arm/v6'], 'linux/arm/v6'],
    ['linux/arm/v6', ['linux/arm/v7'], undefined],
    ['linux/amd64', ['unknown/unknown', 'linux/amd64'], 'linux/amd64'],
    ['linux/amd64', ['windows/amd64'], undefined],
  ])('for %s out of %j: %s', (wanted, offered, expected) => {
    const choose = () => choosePlatform(offered.map(entry), parsePlatform(wanted));
    if (expected === undefined) expect(choose).toThrow(expect.objectContaining({ code: 'registry/not-found' }));
    else expect(formatPlatform(choose().platform!)).toBe(expected);
  });
});

describe('login challenges', () => {
  it.each<[string, readonly [string, Record<string, string>][]]>([
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    [
      'Bearer realm="https://a/b?c=d,e",service="s",scope="repository:x:pull,push"',
      [['bearer', { realm: 'https://a/b?c=d,e', service: 's', scope: 'repository:x:pull,push' }]],
    ],
    ['bearer Realm=plain , service="with \\"quotes\\""', [['bearer', { realm: 'plain', service: 'with "quotes"' }]]],
    [
      'Basic realm="a", Bearer realm="b"',
      [
        ['basic', { realm: 'a' }],
        ['bearer', { realm: 'b' }],
      ],
    ],
    [
      'Negotiate, Basic realm="a"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'a' }],
      ],
    ],
    ['', []],
  ])('%s', (header, expected) => {
    const seen = parseChallenges(header).map((item) => [item.scheme, Object.fromEntries(item.parameters)]);
    expect(seen).toEqual(expected);
  });

  it('reads anything without falling', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseChallenges(text))));
  });
});

it.each([
  ['localhost:5000', true],
  ['127.0.0.1:5000', true],
  ['127.9.9.9', true],
  ['[::1]:5000', true],
  ['127.0.0.1.example.org', false],
  ['example.org', false],
  ['10.0.0.1:5000', false],
])('%s is loopback: %s', (host, expected) => expect(isLoopbackHost(host)).toBe(expected));

it('decodes any JSON into a manifest or a refusal', () => {
  const document = fc.record(
    {
      schemaVersion: fc.oneof(fc.constant(2), fc.anything()),
      mediaType: fc.oneof(fc.constant('application/vnd.oci.image.manifest.v1+json'), fc.string()),
      config: fc.oneof(
        fc.record({ mediaType: fc.string(), digest: fc.constant(digest), size: fc.nat() }),
        fc.jsonValue(),
      ),
      layers: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
      manifests: fc.oneof(fc.array(fc.jsonValue()), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(document, (value) => {
      try {
        const result = decodeManifest(Buffer.from(JSON.stringify(value)));
        expect(['index', 'manifest']).toContain(result.kind);
      } catch (error) {
        expect(error).toHaveProperty('code', expect.stringMatching(/^registry\/(corrupt|unsupported)$/));
      }
    }),
  );
});
