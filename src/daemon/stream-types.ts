import { compareApiVersions } from '../api/index.ts';

/** Content type of a terminal's stream: bytes as they come. */
export const RAW_STREAM = 'application/vnd.docker.raw-stream';

/** Content type of attached output: frames are announced as such since 1.42. */
export function outputType(tty: boolean, version: string): string {
  return tty || compareApiVersions(version, '1.42') < 0 ? RAW_STREAM : 'application/vnd.docker.multiplexed-stream';
}
