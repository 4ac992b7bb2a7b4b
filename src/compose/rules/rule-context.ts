import type { Mapping, Span } from '../node.ts';

/** What a rule looks at and where it reports. */
export interface RuleContext {
  readonly tree: Mapping;
  /** Key of the service or resource. */
  readonly name: string;
  /** Where that key is written. */
  readonly key: Span;
  /** Enough was found already; hints are no longer looked for. */
  readonly crowded: () => boolean;
  /** Something in the text of this service is wrong already: what seems to be missing may be what was meant there. */
  readonly troubled: () => boolean;
  readonly warn: (at: Span, code: string, message: string, hint?: string) => void;
  readonly report: (at: Span, code: string, message: string, hint?: string) => void;
}
