import { describe, expect, it } from 'vitest';
import { logFileOf } from './log-options.ts';

const of = (options: Record<string, string>, driver = 'json-file') => logFileOf({ driver, options }, '/log');

describe('log options', () => {
  it("are the monitor's orders", () => {
    expect(of({})).toEqual({ path: '/log', max_size: 20 << 20, max_file: 5, compress: false });
    expect(of({ 'max-size': '10m', 'max-file': '3', compress: 'true' })).toEqual({
      path: '/log',
      max_size: 10 << 20,
      max_file: 3,
      compress: true,
    });
    expect(of({}, 'local')).toMatchObject({ compress: true });
    expect(of({ 'max-size': '1k' }, 'local')).toMatchObject({ max_file: 1, compress: false });
    expect(of({}, 'none')).toBeNull();
  });

  it.each([
    [{ compress: 'true', 'max-size': '1m' }, /compress needs max-file/],
    [{ compress: 'maybe' }, /compress=maybe/],
    [{ 'max-file': '0' }, /max-file=0/],
    [{ labels: 'a' }, /log option labels=a is not supported/],
  ])('refuses %j', (options, message) => expect(() => of(options as Record<string, string>)).toThrow(message));
});
