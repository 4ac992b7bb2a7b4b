import type { Position } from '../../core/index.ts';

/** One place that had a say in a value. */
export interface ExplanationStep {
  /** What was said there, or what was done, in one line. */
  readonly text: string;
  readonly at?: Position;
  /** `used`: it is (part of) the result; `lost`: something later won; `note`: how a value came to be. */
  readonly outcome: 'used' | 'lost' | 'note';
  /** Why it lost, or how it takes part. */
  readonly because?: string;
}

/** Where a value came from, the earliest say first. */
export interface Explanation {
  readonly subject: string;
  /** The value in the end, as one line of JSON; absent: there is none. */
  readonly value?: string;
  readonly steps: readonly ExplanationStep[];
}

/** `file:line` of a place. */
export function placeText({ file, line }: Position): string {
  return `${file}:${line}`;
}

/** For people: the value, then one numbered line per step. Ends with a newline. */
export function formatExplanation({ subject, value, steps }: Explanation): string {
  const head = value === undefined ? `${subject} has no value` : `${subject} = ${value}`;
  const rows = steps.map(({ text, at, outcome, because }, index) => {
    const mark = outcome === 'lost' ? '✗' : outcome === 'used' ? '✓' : '·';
    const place = at === undefined ? '' : `${at.file}:${at.line}:${at.column}  `;
    return `  ${index + 1}. ${mark} ${place}${text}${because === undefined ? '' : ` — ${because}`}`;
  });
  return `${[head, ...rows].join('\n')}\n`;
}
