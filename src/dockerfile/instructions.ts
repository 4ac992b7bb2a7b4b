import type { Position } from '../core/index.ts';
import type { Heredoc } from './lex.ts';

/** A command in shell form (one string) or exec form (arguments). */
export type Command =
  | { readonly form: 'shell'; readonly text: string }
  | { readonly form: 'exec'; readonly args: readonly string[] };

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** Fields of COPY and ADD. */
export interface CopyInstruction {
  readonly kind: 'copy' | 'add';
  readonly sources: readonly string[];
  readonly destination: string;
  /** Stage name, stage number or image (`--from`). */
  readonly from?: string;
  readonly chown?: string;
  readonly chmod?: string;
  /** Sources given as here-documents. */
  readonly heredocs: readonly Heredoc[];
}

export interface HealthcheckInstruction {
  readonly kind: 'healthcheck';
  /** Absent for `HEALTHCHECK NONE`. */
  readonly command?: Command;
  readonly interval?: string;
  readonly timeout?: string;
  readonly startPeriod?: string;
  readonly startInterval?: string;
  readonly retries?: number;
}

/** What an instruction says, words still unexpanded. */
export type InstructionBody =
  | {
      readonly kind: 'run';
      readonly command: Command;
      readonly heredocs: readonly Heredoc[];
      readonly network?: string;
    }
  | { readonly kind: 'cmd' | 'entrypoint'; readonly command: Command }
  | { readonly kind: 'env' | 'label'; readonly pairs: readonly KeyValue[] }
  | { readonly kind: 'arg'; readonly args: readonly { readonly name: string; readonly value?: string }[] }
  | CopyInstruction
  | { readonly kind: 'workdir' | 'user' | 'stopsignal' | 'maintainer'; readonly value: string }
  | { readonly kind: 'expose' | 'volume'; readonly values: readonly string[] }
  | { readonly kind: 'shell'; readonly args: readonly string[] }
  | HealthcheckInstruction
  | { readonly kind: 'onbuild'; readonly trigger: string };

/** One instruction with its place and its text, as history and progress show it. */
export type Instruction = InstructionBody & { readonly at: Position; readonly text: string };

export interface Stage {
  readonly index: number;
  /** `AS name`, lower case. */
  readonly name?: string;
  /** Image, earlier stage or `scratch`; variables unexpanded. */
  readonly base: string;
  readonly platform?: string;
  readonly at: Position;
  readonly text: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  readonly escapeChar: string;
  /** ARG instructions before the first FROM. */
  readonly globalArgs: readonly { readonly name: string; readonly value?: string }[];
  readonly stages: readonly Stage[];
  /** What the file asks for that we do not do, and habits that hurt: one sentence each. */
  readonly warnings: readonly string[];
}
