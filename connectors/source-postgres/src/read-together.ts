/** `read` by several sessions: as many streams at once, and parts of large ones. All of them write into one queue. */
import { toConnectorError } from '@tapline/protocol';
import type { ReadContext, SourceItem } from '@tapline/sdk';
import type { Config } from './config.js';
import { Connection } from './connection.js';
import { Mailbox } from './mailbox.js';
import { batchesOf, readRelation, type FoundStream } from './read.js';
import { Readers } from './readers.js';

/** Bytes of lines that may wait for the pipe. */
const queueBytes = 1 << 20;

export interface ReadTogether {
  /** At least 2. */
  readonly sessions: number;
  readonly streams: readonly FoundStream[];
  /** The first session; the caller's to close. */
  readonly connection: Connection;
}

export async function* readTogether(context: ReadContext<Config>, { sessions, streams, connection }: ReadTogether): AsyncGenerator<SourceItem, void, undefined> {
  const { config, log } = context;
  if (context.signal.aborted) return;
  const mailbox = new Mailbox<SourceItem>(queueBytes);
  const controller = new AbortController();
  const { signal } = controller;
  const stop = (): void => controller.abort(context.signal.reason);
  context.signal.addEventListener('abort', stop, { once: true });
  const put = (item: SourceItem): Promise<void> => mailbox.put(item, item.kind === 'lines' ? item.bytes.length : 0);
  const reading = { ...context, signal };
  let refused = false;
  const batches = await batchesOf(reading, connection);
  const readers: Readers<FoundStream> = new Readers({
    size: sessions,
    streams,
    signal,
    put,
    open: () => Connection.open(config),
    onRefused(error) {
      if (!refused) log('WARN', `fewer sessions read than workers=${sessions} asks for: ${toConnectorError(error).message}`);
      refused = true;
    },
    async read(stream, session) {
      const together = { rangeBytes: config.snapshot_range_bytes, divide: readers.divide.bind(readers) };
      for await (const item of readRelation(reading, session, { ...stream, batches, sessions, together })) await put(item);
    },
  });
  const work = readers.run(connection).then(
    () => mailbox.close(),
    (error: unknown) => {
      mailbox.fail(error);
      controller.abort(error);
    },
  );
  try {
    yield* mailbox;
  } finally {
    context.signal.removeEventListener('abort', stop);
    controller.abort(new DOMException('nobody reads any more', 'AbortError'));
    await work;
  }
}
