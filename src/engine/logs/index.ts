/**
 * logs: reads what monitors write – json-file lines, rotated files, tail, time range, follow. Refuses to write a log.
 */
export type { LogFrame, LogQuery } from './log-query.ts';
