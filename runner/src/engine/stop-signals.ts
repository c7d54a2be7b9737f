/**
 * How a run is asked to stop: `first` = at the next boundary, keeping all that was done; `second` = at once. The reason of
 * `first` is the signal's name.
 */
export interface StopSignals {
  readonly first: AbortSignal;
  readonly second: AbortSignal;
}

export type StopReason = 'SIGINT' | 'SIGTERM';

export const stopReason = (signals: StopSignals): StopReason => (signals.first.reason === 'SIGTERM' ? 'SIGTERM' : 'SIGINT');

/** Listens to SIGINT and SIGTERM of this process until disposed. */
export function listenForSignals(): StopSignals & Disposable {
  const first = new AbortController();
  const second = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => (first.signal.aborted ? second : first).abort(signal);
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    first: first.signal,
    second: second.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}

/** Never stops. */
export const neverStops = (): StopSignals => ({ first: new AbortController().signal, second: new AbortController().signal });
