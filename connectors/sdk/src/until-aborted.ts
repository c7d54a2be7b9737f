/** An input that ends, cleanly, when the signal is aborted: also while it waits for bytes that do not come. */
export async function* untilAborted<Item>(input: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item, void, undefined> {
  const iterator = input[Symbol.asyncIterator]();
  try {
    for (;;) {
      if (signal.aborted) return;
      const next = await nextOrAbort(iterator, signal);
      if (!next || next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: an input that waits for bytes would never settle its return().
    void iterator.return?.()?.catch(() => {});
  }
}

function nextOrAbort<Item>(iterator: AsyncIterator<Item>, signal: AbortSignal): Promise<IteratorResult<Item> | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    iterator.next().then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
