import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { toConnectorError } from '@tapline/protocol';
import { Converter } from '../convert/convert.js';
import { Engine } from '../convert/engine.js';
import { Ingest } from './ingest.js';
import { limitsOf, type WriteColumnarRequest } from './options.js';
import type { Sink } from '../sink.js';
import { stagingError } from './staging-error.js';
import { Stager } from './stager.js';

/**
 * Reads lines until the end of the input (or the signal), and writes them into the sink. Resolves when all that may be committed
 * is committed, and its states are echoed. Rejects with a ConnectorError; what was committed before stays.
 */
export async function writeColumnar(request: WriteColumnarRequest): Promise<void> {
  const { options, session, output, log } = request;
  const sink = guarded(request.sink);
  // Before anything else: from here on an older writer is fenced.
  const opened = await sink.open();
  if (session) {
    await output.message({ type: 'TAPLINE', tapline: { type: 'OPENED', epoch: opened.epoch, checkpoint: opened.checkpoint } });
  }
  const limits = limitsOf(request);
  let directory: string | undefined;
  try {
    await mkdir(options.stagingDirectory, { recursive: true });
    directory = await mkdtemp(join(options.stagingDirectory, 'tapline-'));
    await using engine = new Engine({ directory: join(directory, 'engine'), memoryBytes: options.memoryBytes, workers: options.workers });
    // Somebody waits for what comes, or rows are sure to come, and go through it; in other runs there may be nothing to write, and most batches do without it.
    const refreshes = request.catalog.streams.some(({ sync_mode }) => sync_mode === 'full_refresh');
    const needsEngine = !sink.stageBatches && (!session?.batch || options.partition !== undefined);
    if (session?.continuous || (refreshes && needsEngine)) engine.warm();
    const converter = new Converter({
      engine, log, directory: join(directory, 'parquet'), compression: options.compression ?? 'zstd', readOnce: options.readOnce,
      rowGroupBytes: limits.rowGroupBytes, refuse: options.refuse,
    });
    const sync8 = createHash('sha256').update(options.sync).digest('hex').slice(0, 8);
    const stager = new Stager(converter, sink, sync8);
    const ingest = new Ingest({ request: { ...request, sink }, opened, limits, stager, spoolDirectory: directory, parallel: engine.workers });
    try {
      await ingest.run();
    } finally {
      await stager.allSettled();
    }
  } catch (error) {
    throw stagingError(options.stagingDirectory, error);
  } finally {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  }
}

/** The sink's errors are its own: a full disk at the destination must not be told as one of the staging directory. */
function guarded(sink: Sink): Sink {
  const guard = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw toConnectorError(error);
    }
  };
  return {
    open: () => guard(sink.open()),
    configure: (schema) => {
      try {
        sink.configure?.(schema);
      } catch (error) {
        throw toConnectorError(error);
      }
    },
    keepsReplaced: (stream) => sink.keepsReplaced?.(stream) ?? false,
    stage: (file) => guard(sink.stage(file)),
    ...(sink.stageBatches && { stageBatches: (batches) => guard(sink.stageBatches!(batches)) }),
    commit: (commit) => guard(sink.commit(commit)),
    publish: () => guard(sink.publish()),
    [Symbol.asyncDispose]: () => guard(Promise.resolve(sink[Symbol.asyncDispose]())),
  };
}
