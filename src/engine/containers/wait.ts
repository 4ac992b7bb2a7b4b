import { TscError } from '../../core/index.ts';
import type { ExitResult, WaitCondition } from './container-service.ts';
import type { LiveContainer } from './live-container.ts';

/** Waits for an end. The waiter is registered before this function returns. */
export function waitFor(container: LiveContainer, condition: WaitCondition, signal?: AbortSignal): Promise<ExitResult> {
  const { status } = container.state;
  if (condition === 'not-running' && !container.isRunning && status !== 'restarting')
    return Promise.resolve(container.exitResult);
  const { promise, resolve, reject } = Promise.withResolvers<ExitResult>();
  const leave = condition === 'removed' ? container.onRemove(resolve) : container.onStop(resolve);
  const cancel = () => {
    leave();
    reject(new TscError('container/cancelled', 'the wait was given up'));
  };
  if (signal?.aborted) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return promise.finally(() => signal?.removeEventListener('abort', cancel));
}
