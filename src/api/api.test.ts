import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AttachFrameDecoder,
  checkFilters,
  compareApiVersions,
  type FrameStream,
  formatAttachFrame,
  formatFilters,
  formatProgressError,
  formatProgressLine,
  isSet,
  JsonLinesDecoder,
  KNOWN_HOST_FIELDS,
  matchesLabels,
  parseFilters,
  parseProgressLine,
  splitApiVersion,
  UNSUPPORTED_HOST_FIELDS,
} from './index.ts';

describe('version', () => {
  it('orders by number, not by text', () => {
    expect(compareApiVersions('1.9', '1.24')).toBeLessThan(0);
    expect(compareApiVersions('1.51', '1.51')).toBe(0);
    expect(compareApiVersions('2.0', '1.99')).toBeGreaterThan(0);
  });

  it('takes the prefix off and defaults to the newest', () => {
    expect(splitApiVersion('/v1.41/containers/json')).toEqual({ version: '1.41', path: '/containers/json' });
    expect(splitApiVersion('/containers/json')).toEqual({ version: '1.51', path: '/containers/json' });
    expect(splitApiVersion('/volumes/v1.41')).toEqual({ version: '1.51', path: '/volumes/v1.41' });
  });

  it.each(['/v1.23/info', '/v1.52/info', '/v9.9/info', '/v0.1/info'])('refuses %s', (path) => {
    expect(() => splitApiVersion(path)).toThrow(expect.objectContaining({ code: 'api/invalid' }));
  });
});

describe('attach frames', () => {
  it('survive any cut of the byte stream', () => {
    const frames = fc.array(fc.tuple(fc.constantFrom<FrameStream>(0, 1, 2), fc.uint8Array({ maxLength: 40 })), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(frames, fc.integer({ min: 1, max: 13 }), (list, step) => {
        const bytes = Buffer.concat(list.map(([stream, data]) => formatAttachFrame(stream, data)));
        const decoder = new AttachFrameDecoder();
        const seen = [];
        for (let at = 0; at < bytes.length; at += step) seen.push(...decoder.push(bytes.subarray(at, at + step)));
        expect(seen.map(({ stream, data }) => [stream, [...data]])).toEqual(
          list.map(([stream, data]) => [stream, [...data]]),
        );
        expect(decoder.pending).toBe(0);
      }),
    );
  });

  it.each([
    ['an unknown stream', [3, 0, 0, 0, 0, 0, 0, 1, 0]],
    ['set padding', [1, 0, 1, 0, 0, 0, 0, 1, 0]],
    ['a huge length', [1, 0, 0, 0, 255, 255, 255, 255]],
  ])('refuse %s', (_what, bytes) => {
    expect(() => new AttachFrameDecoder().push(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ code: 'api/invalid' }),
    );
  });
});

describe('filters', () => {
  it.each([
    ['lists', '{"label":["a=b","c"],"status":["running"]}'],
    ['maps of true', '{"label":{"a=b":true,"c":true,"d":false},"status":{"running":true}}'],
  ])('are read from %s', (_form, text) => {
    expect({ ...parseFilters(text) }).toEqual({ label: ['a=b', 'c'], status: ['running'] });
  });

  it('may be absent', () => {
    for (const text of [null, undefined, '', '{}', 'null']) expect({ ...parseFilters(text) }).toEqual({});
  });

  it('round-trip', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.uniqueArray(fc.string(), { minLength: 1 })), (filters) => {
        const back = parseFilters(formatFilters(filters));
        const sorted = (value: object) =>
          Object.entries(value)
            .map(([key, list]) => [key, [...list].sort()])
            .sort();
        expect(sorted(back)).toEqual(sorted(filters));
      }),
    );
  });

  it.each(['[]', '"a"', '{', '{"a":"b"}', '{"a":[1]}', '{"a":{"b":"c"}}', '1'])('refuse %s', (text) => {
    expect(() => parseFilters(text)).toThrow(expect.objectContaining({ code: 'api/invalid' }));
  });

  it('do not touch prototypes', () => {
    const filters = parseFilters('{"__proto__":["x"]}');
    expect(Object.getPrototypeOf(filters)).toBeNull();
    expect(Object.keys(filters)).toEqual(['__proto__']);
  });

  it('name the unknown key', () => {
    expect(() => checkFilters(parseFilters('{"colour":["red"]}'), ['label'])).toThrow(/colour/);
  });

  it('match labels by key and by value', () => {
    expect(matchesLabels(['a', 'b=c'], { a: '', b: 'c' })).toBe(true);
    expect(matchesLabels(['b=d'], { b: 'c' })).toBe(false);
    expect(matchesLabels(['constructor'], {})).toBe(false);
    expect(matchesLabels(undefined, {})).toBe(true);
  });
});

describe('progress lines', () => {
  it('round-trip', () => {
    const line = { status: 'Downloading', id: 'abc', progressDetail: { current: 1, total: 2 } };
    expect(parseProgressLine(formatProgressLine(line))).toEqual(line);
    expect(parseProgressLine(formatProgressError('no space', 5))).toEqual({
      error: 'no space',
      errorDetail: { code: 5, message: 'no space' },
    });
  });

  it('are cut from bytes, multi-byte characters included', () => {
    const bytes = Buffer.from('{"stream":"é"}\r\n{"stream":"b"}\n{"stream":"last"}');
    const decoder = new JsonLinesDecoder();
    const lines = [...bytes].flatMap((byte) => decoder.push(Uint8Array.of(byte)));
    expect([...lines, ...decoder.end()]).toEqual(['{"stream":"é"}', '{"stream":"b"}', '{"stream":"last"}']);
  });

  it.each(['', '[]', 'null', '1', '{'])('refuse %j', (text) => {
    expect(() => parseProgressLine(text)).toThrow(expect.objectContaining({ code: 'api/invalid' }));
  });
});

describe('host config', () => {
  it('has every field in exactly one list', () => {
    const names = [...KNOWN_HOST_FIELDS, ...UNSUPPORTED_HOST_FIELDS.map((field) => field.name)];
    expect(new Set(names).size).toBe(names.length);
  });

  it('knows what asks for something', () => {
    for (const value of [undefined, null, false, 0, '', [], {}]) expect(isSet(value)).toBe(false);
    for (const value of [true, 1, -1, 'a', [''], { a: 1 }]) expect(isSet(value)).toBe(true);
  });
});
