/**
 * logs: reads what monitors write – json-file lines, rotated files, tail, time range, follow. Refuses to write a log.
 */

export { nanosecondsOf } from './log-line.ts';
export type { LogFrame, LogFrames, LogQuery } from './log-query.ts';
export { type LogSource, readLogs } from './read-logs.ts';
