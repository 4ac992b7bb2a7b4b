/** Plain data of an `x-` extension: what JSON can say. Maps keep hostile key names harmless. */
export type PlainValue = string | number | boolean | null | readonly PlainValue[] | ReadonlyMap<string, PlainValue>;

/** Objects of the model that may carry `x-` keys. */
export interface Extensible {
  /** `x-` keys with their values; absent when there are none. */
  readonly extensions?: ReadonlyMap<string, PlainValue>;
}
