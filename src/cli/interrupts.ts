/** Calls `act` with 1, 2, 3… on every SIGINT or SIGTERM instead of ending the process, until disposed. */
export function onInterrupt(act: (count: number) => void): Disposable {
  let count = 0;
  const listener = () => {
    count += 1;
    act(count);
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    [Symbol.dispose]: () => {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}
