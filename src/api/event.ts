import type { StringMap } from './container.ts';

/** One line of the event stream. */
export interface EventMessage {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: StringMap };
  readonly scope: 'local';
  /** Seconds and nanoseconds since 1970. */
  readonly time: number;
  readonly timeNano: number;
  /** Old names of the same, for containers and images. */
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
}
