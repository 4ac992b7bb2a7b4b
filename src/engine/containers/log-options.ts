import { parseByteSize, TscError } from '../../core/index.ts';
import type { LoggingSpec } from './container.ts';

const DEFAULT_MAX_SIZE = 20 << 20;
const DEFAULT_MAX_FILES = 5;
/** Change what a line carries or how it is delivered, which our file does not depend on. */
const IGNORED: ReadonlySet<string> = new Set(['mode', 'max-buffer-size']);

/** The monitor's orders for the log, in its own words. */
export interface LogOrders {
  readonly path: string;
  readonly max_size: number;
  readonly max_file: number;
  readonly compress: boolean;
}

const KNOWN: ReadonlySet<string> = new Set(['max-size', 'max-file', 'compress']);

/** What the monitor is told about the log; null for the driver `none`. Throws `container/invalid`, `container/unsupported`. */
export function logFileOf(logging: LoggingSpec, path: string): LogOrders | null {
  const { driver, options } = logging;
  if (driver === 'none') return null;
  if (!['', 'json-file', 'local'].includes(driver)) {
    throw new TscError('container/unsupported', `logging driver ${JSON.stringify(driver)} is not supported`, {
      hint: 'supported are json-file, local and none',
    });
  }
  for (const [key, value] of Object.entries(options)) {
    if (!IGNORED.has(key) && !KNOWN.has(key)) {
      throw new TscError('container/unsupported', `log option ${key}=${value} is not supported`, {
        hint: 'supported are max-size, max-file and compress',
      });
    }
  }
  const maxSize = options['max-size'];
  const maxFile = options['max-file'];
  if (maxFile !== undefined && !/^[1-9]\d{0,2}$/.test(maxFile))
    throw new TscError('container/invalid', `invalid log option max-file=${maxFile}: a number from 1 to 999`);
  // One file alone cannot rotate without losing what was just written.
  const files = maxFile === undefined ? (maxSize === undefined ? DEFAULT_MAX_FILES : 1) : Number(maxFile);
  const compress = parseSwitch(options['compress'], driver);
  if (options['compress'] !== undefined && compress && files < 2)
    throw new TscError('container/invalid', 'log option compress needs max-file of at least 2');
  return {
    path,
    max_size: maxSize === undefined || maxSize === '-1' ? DEFAULT_MAX_SIZE : parseByteSize(maxSize),
    max_file: files,
    compress: compress && files > 1,
  };
}

/** The driver `local` compresses unless told otherwise. */
function parseSwitch(value: string | undefined, driver: string): boolean {
  if (value === undefined) return driver === 'local';
  const text = value.toLowerCase();
  if (['1', 't', 'true'].includes(text)) return true;
  if (['0', 'f', 'false'].includes(text)) return false;
  throw new TscError('container/invalid', `invalid log option compress=${value}: true or false`);
}
