import type { ImageProgress, Operation, OperationState, Plan } from '../../stack/index.ts';

/** Shows what a command is doing. */
export interface ProgressView {
  plan(plan: Plan): void;
  operation(operation: Operation, state: OperationState, note?: string): void;
  image(progress: ImageProgress): void;
  /** Waits until everything is drawn. */
  finish(): Promise<void>;
}
