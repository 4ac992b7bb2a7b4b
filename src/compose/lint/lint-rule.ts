import type { Severity } from '../../core/index.ts';
import type { Mapping, Span } from '../node.ts';
import type { Project } from '../project.ts';

/** How much a rule matters; `off` silences it. */
export type Level = Severity | 'off';

/** What a rule looks at. */
export interface LintSubject {
  /** All services, those of inactive profiles included. */
  readonly services: Project['services'];
  readonly project: Project;
  /** The tree behind the project; env files are not read into it. */
  readonly tree: Mapping;
}

/** A breach of a rule: where, on which service (for its `x-lint`), in which words. */
export interface Breach {
  /** Place in the tree; the nearest known ancestor is marked. */
  readonly path: readonly string[];
  /** A more exact place than the path's. */
  readonly at?: Span;
  readonly message: string;
  readonly hint: string;
}

/** One thing that is allowed and rarely wanted. */
export interface LintRule {
  /** Stable; `lint/` is put before it. */
  readonly name: string;
  readonly level: Severity;
  readonly summary: string;
  readonly check: (subject: LintSubject) => Iterable<Breach>;
}
