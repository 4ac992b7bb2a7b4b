import type { ContainerSpec, NetworkSpec, VolumeSpec } from '../client/index.ts';

interface OperationBase {
  /** Counts from 1 within the plan. */
  readonly id: number;
  /** Operations that must have succeeded before. */
  readonly after: readonly number[];
  /** Why, in a few words. */
  readonly cause: string;
}

export type WaitCondition = 'service_started' | 'service_healthy' | 'service_completed_successfully' | 'ready';

/** What an operation does; containers are named, ids are found when it runs. */
export type Action =
  | { readonly kind: 'create-network'; readonly name: string; readonly spec: NetworkSpec }
  | { readonly kind: 'remove-network'; readonly name: string; readonly networkId: string }
  | { readonly kind: 'create-volume'; readonly name: string; readonly spec: VolumeSpec }
  | { readonly kind: 'remove-volume'; readonly name: string }
  | { readonly kind: 'remove-image'; readonly name: string }
  | {
      readonly kind: 'create-container';
      readonly name: string;
      readonly service: string;
      readonly spec: ContainerSpec;
      /** The label config-hash, where it depends on ids of containers that may not exist before. */
      readonly hash?: HashOfIds | undefined;
    }
  | { readonly kind: 'start-container'; readonly name: string; readonly service: string }
  | { readonly kind: 'stop-container'; readonly name: string; readonly service: string; readonly timeout?: number }
  | {
      readonly kind: 'remove-container';
      readonly name: string;
      readonly service: string;
      readonly volumes: boolean;
      readonly force: boolean;
    }
  | {
      readonly kind: 'rename-container';
      readonly name: string;
      readonly service: string;
      readonly to: string;
    }
  | {
      readonly kind: 'wait';
      /** Service waited for. */
      readonly name: string;
      readonly service: string;
      readonly condition: WaitCondition;
      readonly containers: readonly string[];
      /** false: an unmet condition is a warning. */
      readonly required: boolean;
    };

/** A label's value made with the ids of containers, by their names. */
export type HashOfIds = (idOf: (container: string) => string) => string;

/** One call on the engine (or one wait), with its place in the order and its cause. */
export type Operation = OperationBase & Action;

export interface Plan {
  readonly project: string;
  readonly operations: readonly Operation[];
}

/** `#3 after 1,2: create-container web-1 (image changed)` */
export function formatOperation(operation: Operation): string {
  const after = operation.after.length > 0 ? ` after ${operation.after.join(',')}` : '';
  return `#${operation.id}${after}: ${operation.kind} ${subject(operation)} (${operation.cause})`;
}

/** One line per operation. */
export function formatPlan(plan: Plan): string {
  return plan.operations.map(formatOperation).join('\n');
}

function subject(operation: Operation): string {
  if (operation.kind === 'rename-container') return `${operation.name} to ${operation.to}`;
  if (operation.kind === 'wait') return `${operation.name} ${operation.condition}`;
  return operation.name;
}

/** Collects operations and numbers them. */
export class PlanBuilder {
  readonly #operations: Operation[] = [];

  /** Adds an operation; returns its number for the `after` of others. */
  add(action: Action, cause: string, after: readonly (number | undefined)[] = []): number {
    const id = this.#operations.length + 1;
    const known = after.filter((item) => item !== undefined);
    this.#operations.push({ ...action, id, cause, after: [...new Set(known)].sort((a, b) => a - b) });
    return id;
  }

  finish(project: string): Plan {
    return { project, operations: this.#operations };
  }
}
