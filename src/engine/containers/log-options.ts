import { parseByteSize, TscError } from '../../core/index.ts';
import type { LoggingSpec } from './container.ts';

const DEFAULT_MAX_SIZE = 20 << 20;
const DEFAULT_MAX_FILES = 5;
/** Change what a line carries or how it is delivered, which our file does not depend on. */
const IGNORED: ReadonlySet<string> = new Set(['mode', 'max-buffer-size']);

/** What the monitor is told about the log; null for the driver `none`. Throws `container/invalid`, `container/unsupported`. */
export function logFileOf(
  logging: LoggingSpec,
  path: string,
): { readonly path: string; readonly max_size: number; readonly max_file: number } | null {
  const { driver, options } = logging;
  if (driver === 'none') return null;
  if (!['', 'json-file', 'local'].includes(driver)) {
    throw new TscError('container/unsupported', `logging driver ${JSON.stringify(driver)} is not supported`, {
      hint: 'supported are json-file, local and none',
    });
  }
  for (const [key, value] of Object.entries(options)) {
    const off = key === 'compress' && value !== 'true';
    if (!off && !IGNORED.has(key) && key !== 'max-size' && key !== 'max-file') {
      throw new TscError('container/unsupported', `log option ${key}=${value} is not supported`, {
        hint: 'supported are max-size and max-file',
      });
    }
  }
  const maxSize = options['max-size'];
  const maxFile = options['max-file'];
  if (maxFile !== undefined && !/^[1-9]\d{0,2}$/.test(maxFile))
    throw new TscError('container/invalid', `invalid log option max-file=${maxFile}: a number from 1 to 999`);
  return {
    path,
    max_size: maxSize === undefined || maxSize === '-1' ? DEFAULT_MAX_SIZE : parseByteSize(maxSize),
    // One file alone cannot rotate without losing what was just written.
    max_file: maxFile === undefined ? (maxSize === undefined ? DEFAULT_MAX_FILES : 1) : Number(maxFile),
  };
}
