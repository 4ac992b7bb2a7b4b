export type EventType = 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'builder';

/** Who it happened to; attribute names are those of the Engine API (`image`, `name`, `exitCode`, labels, …). */
export interface EventActor {
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** What a room publishes. */
export interface EventInput {
  readonly type: EventType;
  /** `create`, `start`, `die`, `exec_create: sh -c x`, `health_status: healthy`, … */
  readonly action: string;
  readonly actor: EventActor;
}

/** An event as subscribers see it. */
export interface EngineEvent extends EventInput {
  /** Strictly growing within one run of the daemon. */
  readonly sequence: number;
  /** Nanoseconds since 1970, strictly growing too. */
  readonly timeNano: bigint;
}
