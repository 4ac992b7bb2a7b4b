import type { BuildService, ContainerFiles, Engine } from '../engine/index.ts';
import type { Clock } from '../host/index.ts';

/** Where requests and failures are noted; a pino logger fits. */
export interface DaemonLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Everything the routes work on. */
export interface DaemonServices {
  readonly engine: Engine;
  readonly build: BuildService;
  readonly files: ContainerFiles;
  readonly instance: string;
  /** Version of tscompose. */
  readonly version: string;
  readonly clock: Clock;
  readonly logger: DaemonLogger;
}
