import { Transform } from 'node:stream';
import { TscError } from '../core/index.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';

/**
 * Parses `ctrl-p,ctrl-q` or `a,ctrl-]` into the bytes a terminal sends. Empty: the default. Throws `daemon/invalid`.
 */
export function parseDetachKeys(text: string): Buffer {
  const keys = (text === '' ? DEFAULT_KEYS : text).split(',').map((key) => {
    const control = /^ctrl-(.)$/i.exec(key)?.[1]?.toLowerCase();
    const code = control === undefined ? undefined : controlCode(control);
    if (code !== undefined) return code;
    if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
    throw new TscError('daemon/invalid', `invalid detach keys ${JSON.stringify(text.slice(0, 80))}`, {
      hint: 'write letters or ctrl-LETTER, separated by commas',
    });
  });
  return Buffer.from(keys);
}

function controlCode(key: string): number | undefined {
  if (key >= 'a' && key <= 'z') return key.charCodeAt(0) - 96;
  const index = '@[\\]^_'.indexOf(key);
  return index < 0 ? undefined : [0, 27, 28, 29, 30, 31][index];
}

/**
 * Passes input through and watches for the detach keys. They are held back while they may still become the sequence;
 * once complete, `onDetach` runs and the input ends.
 */
export function watchDetachKeys(keys: Buffer, onDetach: () => void): Transform {
  let matched = 0;
  let detached = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const out: Buffer[] = [];
      for (const byte of chunk) {
        if (detached) break;
        if (byte === keys[matched]) {
          matched += 1;
          detached = matched === keys.length;
          continue;
        }
        out.push(keys.subarray(0, matched));
        matched = byte === keys[0] ? 1 : 0;
        if (matched === 0) out.push(Buffer.of(byte));
      }
      done(null, Buffer.concat(out));
      if (detached) onDetach();
    },
    flush(done) {
      done(null, detached ? undefined : keys.subarray(0, matched));
    },
  });
}
