import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TscError } from '../../core/index.ts';
import { encodeFrame, FRAME, FrameDecoder, type FrameType } from './frame-codec.ts';

const types: FrameType[] = [FRAME.stdin, FRAME.stdout, FRAME.stderr, FRAME.request, FRAME.reply, FRAME.event];

const frames = fc.array(
  fc.oneof(
    fc.record({ type: fc.constantFrom(...types), payload: fc.uint8Array({ maxLength: 300 }) }),
    fc.constant({ type: FRAME.endOfStdin, payload: new Uint8Array() }),
  ),
  { maxLength: 12 },
);

describe('frame codec', () => {
  it('gives back every frame whatever the chunks are', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 400 })), (wanted, cuts) => {
        let rest = Buffer.concat(wanted.map(({ type, payload }) => encodeFrame(type, payload)));
        const decoder = new FrameDecoder();
        const got = [];
        for (const cut of [...cuts, Number.POSITIVE_INFINITY]) {
          got.push(...decoder.push(rest.subarray(0, cut)));
          rest = rest.subarray(cut);
        }
        expect(got.map(({ type, payload }) => ({ type, payload: payload.toString('hex') }))).toEqual(
          wanted.map(({ type, payload }) => ({ type, payload: Buffer.from(payload).toString('hex') })),
        );
        expect(decoder.partial).toBe(false);
      }),
    );
  });

  it('writes the header of the attach stream', () => {
    expect(encodeFrame(FRAME.stderr, 'ab').toString('hex')).toBe('02000000000000026162');
  });

  it.each([
    ['an unknown type', '0900000000000000'],
    ['bytes where zeros belong', '0100010000000000'],
    ['too long data', '0100000000010001'],
    ['too long JSON', '0c00000000100001'],
    ['a payload on the end of stdin', '0a00000000000001'],
    ['a wrong second frame', '010000000000000161ffffffffffffffff'],
  ])('refuses %s', (_name, hex) => {
    const decoder = new FrameDecoder();
    expect(() => decoder.push(Buffer.from(hex, 'hex'))).toThrow(TscError);
  });

  it('refuses to encode what no decoder takes', () => {
    expect(() => encodeFrame(FRAME.stdin, Buffer.alloc((64 << 10) + 1))).toThrow(/cannot carry/);
    expect(() => encodeFrame(FRAME.endOfStdin, 'x')).toThrow(/cannot carry/);
  });
});
